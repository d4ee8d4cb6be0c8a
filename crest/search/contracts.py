"""What the search asks of others: price a candidate, train it, finish a member of the front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from crest.ledger import TrainingSummary, TrialRecord
from crest.measurement import Measurement

OnEpoch = Callable[[int, float], None]
"""Called after every epoch with its number (from 1) and its validation loss."""


@dataclass(frozen=True)
class Proposal:
    """A point of the search space: one JSON value per axis of the family, and a number format."""

    candidate: Mapping[str, Any]
    quantization: str


@dataclass(frozen=True)
class Priced:
    """What a candidate costs, whatever its weights.

    Attributes:
        measurement: cost on the target.
        proxies: deployed-graph proxies by the names of ``crest.search.policy.PROXY_METRICS``.
        profile_key: key of the execution profile that the price comes from.
    """

    measurement: Measurement
    proxies: Mapping[str, float]
    profile_key: str


@dataclass(frozen=True)
class Trained:
    """A trained candidate.

    Attributes:
        metrics: error metrics of the quantized model on the validation split, by name.
        summary: how the training went.
        model_path: the trained model, relative to the run folder.
    """

    metrics: Mapping[str, float]
    summary: TrainingSummary
    model_path: str


@dataclass(frozen=True)
class Finished:
    """A member of the front, rebuilt with its trained weights and verified on the backend.

    Attributes:
        measurement: cost of the final program.
        metrics: error metrics on the validation split.
        test_metrics: error metrics on the test split.
        files: what the member left in the run folder, as relative paths: ``tflite``, ``c_project``, ``elf``.
        profile_key: key of the execution profile that the measurement comes from.
    """

    measurement: Measurement
    metrics: Mapping[str, float]
    test_metrics: Mapping[str, float]
    files: Mapping[str, str]
    profile_key: str


class Pricer(Protocol):
    """Prices candidates."""

    def price(self, candidate: Mapping[str, Any], quantization: str, clock_mhz: float | None) -> Priced:
        """What the candidate costs on the target of the study at one of its clocks; None for the fastest.

        Raises:
            CapacityError: it does not fit the target; the trial is infeasible.
            ModelError, ToolchainError, EmulationError, BackendError: this candidate failed; the search goes on.
        """
        ...


class Trainer(Protocol):
    """Trains candidates."""

    def train(self, number: int, candidate: Mapping[str, Any], quantization: str, on_epoch: OnEpoch) -> Trained:
        """Train the candidate of a trial, and evaluate the quantized result on the validation split.

        The result depends on the arguments and the study alone: a trial done again gives the same.

        Raises:
            TrainingError, ModelError: this candidate failed; the search goes on.
        """
        ...


class Finisher(Protocol):
    """Turns a trial on the front into something that ships."""

    def finish(self, record: TrialRecord) -> Finished:
        """Rebuild a trained candidate at the clock of its price, verify it on the backend, evaluate the test split.

        Raises:
            CapacityError, ModelError, ToolchainError, EmulationError, BackendError, TrainingError: the member is
                rejected, with the reason in the ledger.
        """
        ...


@dataclass(frozen=True)
class Evaluators:
    """What a worker needs to evaluate a trial."""

    pricer: Pricer
    trainer: Trainer


MakeEvaluators = Callable[[], Evaluators]
"""Builds the evaluators of one process; picklable (a function of a module, or a partial of one) for several workers."""
