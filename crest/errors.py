"""The errors people meet: each says what is wrong, what to do next, and which exit code it maps to."""

from __future__ import annotations

from typing import Any


class CrestError(Exception):
    """Base of every error that CREST raises on purpose.

    Args:
        message: what is wrong, naming the place (file, key, operator, address).
        hint: what to do about it, printed on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel from worker processes; the default would lose the keyword.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[CrestError], message: str, hint: str | None) -> CrestError:
    return kind(message, hint=hint)


class StudyError(CrestError):
    """A study file that cannot be read or does not make sense."""

    exit_code = 3


class AssetError(CrestError):
    """A target, core or energy model file that is missing or malformed."""

    exit_code = 4


class ModelError(CrestError):
    """A .tflite that is malformed, or uses what the compiler does not know."""

    exit_code = 5


class CapacityError(CrestError):
    """A program that does not fit the memories of its target."""

    exit_code = 6


class ToolchainError(CrestError):
    """A compiler that is absent, or that failed on our sources."""

    exit_code = 7


class EmulationError(CrestError):
    """Firmware that faulted, ran away or touched what the board does not have."""

    exit_code = 8


class BackendError(CrestError):
    """A measuring session that broke: silence, bad frames, wrong outputs."""

    exit_code = 9


class SleepStateError(BackendError):
    """A state in which a board or an engine cannot wait between two inferences."""


class DataError(CrestError):
    """A data set with missing or broken files."""

    exit_code = 10


class LedgerError(CrestError):
    """A run folder whose ledger is damaged or belongs to another study."""

    exit_code = 11


class TrainingError(CrestError):
    """Training, conversion or quantization that failed."""

    exit_code = 12


class MissingExtraError(CrestError):
    """An optional part of CREST that is not installed."""

    exit_code = 13


class OutputError(CrestError):
    """A file or folder that cannot be written."""

    exit_code = 14


class MeterError(CrestError):
    """A power meter that is gone, or a recording that cannot be read or used."""

    exit_code = 15


class CalibrationError(CrestError):
    """Measurements that no energy model can be fitted to, or whose model is worse than the one it would replace."""

    exit_code = 16
