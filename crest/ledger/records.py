"""The records of a run. A field that describes the moment or the machine, not the result, is listed in ``VOLATILE``."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from crest.frozen import Frozen
from crest.measurement import Measurement

LEDGER_SCHEMA = 1

TrialState = Literal["complete", "infeasible", "failed"]

# Compared ledgers ignore these keys at any depth.
VOLATILE: Final = frozenset({"recorded_at", "host", "study_folder", "price_seconds", "train_seconds"})


class HeaderRecord(Frozen):
    """First record of a run: what was asked for, and with what; ``study_folder`` is where its relative paths start."""

    kind: Literal["header"] = "header"
    schema_version: int = LEDGER_SCHEMA
    run: str
    study: dict[str, Any]
    study_sha256: str
    study_folder: str
    workload_fingerprint: str
    versions: dict[str, str]
    recorded_at: str
    host: str


class TrainingSummary(Frozen):
    """How a candidate was trained: one validation loss per epoch, at the seed given."""

    epochs: int
    seed: int
    parameters: int
    validation_loss: tuple[float, ...]


class TrialRecord(Frozen):
    """One candidate: asked, priced, perhaps trained, scored. Written once, when it is finished.

    ``metrics`` are those of the trained model; what it costs is in ``price`` and ``proxies``. ``violations`` holds
    one entry per constraint that could be judged, relative to its limit; positive is violated.
    """

    kind: Literal["trial"] = "trial"
    number: int
    state: TrialState
    reason: str | None = None
    candidate: dict[str, Any]
    quantization: str
    target: str
    price: Measurement | None = None
    profile_key: str | None = None
    proxies: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    objectives: dict[str, float] = Field(default_factory=dict)
    violations: dict[str, float] = Field(default_factory=dict)
    training: TrainingSummary | None = None
    model: str | None = None
    price_seconds: float = 0.0
    train_seconds: float = 0.0
    recorded_at: str
    host: str


class MemberRecord(Frozen):
    """A member of the front, rebuilt with its trained weights and verified on the backend.

    ``files`` are paths relative to the run folder: ``tflite``, ``c_project``, ``elf``.
    ``price_difference_pct`` is final against search-time cycles. Objectives and violations are those of the final
    numbers; ``FinishedRecord.front`` tells which members are still on the front with them.
    """

    kind: Literal["member"] = "member"
    number: int
    measurement: Measurement
    metrics: dict[str, float]
    test_metrics: dict[str, float]
    objectives: dict[str, float]
    violations: dict[str, float] = Field(default_factory=dict)
    price_difference_pct: float
    profile_key: str
    files: dict[str, str]
    recorded_at: str
    host: str


class RejectedRecord(Frozen):
    """A trial that was on the front of the search, and could not be rebuilt or verified with its trained weights."""

    kind: Literal["rejected"] = "rejected"
    number: int
    reason: str
    recorded_at: str
    host: str


class FinishedRecord(Frozen):
    """Last record of a run that reached its end: the front by trial number, and why it ended where it did."""

    kind: Literal["finished"] = "finished"
    trials: int
    front: tuple[int, ...]
    reason: str
    recorded_at: str
    host: str


Record = HeaderRecord | TrialRecord | MemberRecord | RejectedRecord | FinishedRecord
