"""The records of a run. A field that describes the moment or the machine, not the result, is listed in ``VOLATILE``."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from crest.frozen import Frozen
from crest.ledger.replays import ReplayedRecord, ReplayHeaderRecord
from crest.measurement import Measurement

LEDGER_SCHEMA = 1

TrialState = Literal["complete", "infeasible", "failed"]

# Compared ledgers ignore these keys at any depth.
VOLATILE: Final = frozenset({"recorded_at", "host", "study_folder", "price_seconds", "train_seconds"})


class ChosenSampler(Frozen):
    """What ``sampler: auto`` came to, and why."""

    name: str
    reason: str


class EarlierRun(Frozen):
    """A run that a search was warm-started from.

    Attributes:
        run: its folder, as the study writes it.
        ledger_sha256: hash of its ledger when this run began.
        told: trials that the sampler was told of.
        left_out: why other trials were not, to how many.
    """

    run: str
    ledger_sha256: str
    told: int
    left_out: dict[str, int]


class HeaderRecord(Frozen):
    """First record of a run: what was asked for, and with what; ``study_folder`` is where its relative paths start.

    ``sampler`` is there when the study left the choice to CREST, ``warm_start`` when it names earlier runs.
    """

    kind: Literal["header"] = "header"
    schema_version: int = LEDGER_SCHEMA
    run: str
    study: dict[str, Any]
    study_sha256: str
    study_folder: str
    workload_fingerprint: str
    versions: dict[str, str]
    sampler: ChosenSampler | None = Field(default=None, exclude_if=lambda chosen: chosen is None)
    warm_start: tuple[EarlierRun, ...] = Field(default=(), exclude_if=lambda runs: not runs)
    recorded_at: str
    host: str


class TrainingSummary(Frozen):
    """How a candidate was trained: one validation loss per epoch, at the seed given."""

    epochs: int
    seed: int
    parameters: int
    validation_loss: tuple[float, ...]


class PointKey(NamedTuple):
    """A point of a run: a trial at one clock; None where it has no price."""

    number: int
    clock_mhz: float | None


class Outcome(Frozen):
    """What became of a candidate at one clock.

    ``objectives`` are as measured, those to maximize, too. ``derived`` holds the metrics of the policy's own.
    ``violations`` holds one entry per constraint that could be judged, relative to its limit; positive is violated.
    """

    state: TrialState
    reason: str | None = None
    price: Measurement | None = None
    profile_key: str | None = None
    objectives: dict[str, float] = Field(default_factory=dict)
    derived: dict[str, float] = Field(default_factory=dict, exclude_if=lambda derived: not derived)
    violations: dict[str, float] = Field(default_factory=dict)


class TrialRecord(Outcome):
    """One candidate: asked, priced, perhaps trained, scored. Written once, when it is finished.

    ``metrics`` are those of the trained model; what it costs is in ``price`` and ``proxies``. In a study of several
    clocks the outcome is that at the clock which the policy prefers, and ``alternatives`` holds those at the others.
    """

    kind: Literal["trial"] = "trial"
    number: int
    candidate: dict[str, Any]
    quantization: str
    target: str
    proxies: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    training: TrainingSummary | None = None
    model: str | None = None
    alternatives: tuple[Outcome, ...] = Field(default=(), exclude_if=lambda outcomes: not outcomes)
    price_seconds: float = 0.0
    train_seconds: float = 0.0
    recorded_at: str
    host: str

    @property
    def key(self) -> PointKey:
        """Trial and clock of the outcome."""
        return PointKey(self.number, self.price.clock_mhz if self.price else None)

    @property
    def points(self) -> tuple[TrialRecord, ...]:
        """The trial at each clock, the preferred first: records without alternatives, as a study of that clock has."""
        alone = self.model_copy(update={"alternatives": ()})
        return (alone, *(alone.model_copy(update=dict(outcome)) for outcome in self.alternatives))


class MemberRecord(Frozen):
    """A network of the front at one clock, rebuilt with its trained weights and verified on the backend.

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
    derived: dict[str, float] = Field(default_factory=dict, exclude_if=lambda derived: not derived)
    violations: dict[str, float] = Field(default_factory=dict)
    price_difference_pct: float
    profile_key: str
    files: dict[str, str]
    recorded_at: str
    host: str

    @property
    def key(self) -> PointKey:
        """Trial and clock of the measurement."""
        return PointKey(self.number, self.measurement.clock_mhz)


class RejectedRecord(Frozen):
    """A trial that was on the front of the search, and could not be rebuilt or verified with its trained weights.

    What fails at one clock is trusted at none.
    """

    kind: Literal["rejected"] = "rejected"
    number: int
    reason: str
    recorded_at: str
    host: str


class FinishedRecord(Frozen):
    """Last record of a run that reached its end: the front by trial number, and why it ended where it did.

    In a study of several clocks ``clocks_mhz`` holds that of each member, and a trial may be a member more than once.
    """

    kind: Literal["finished"] = "finished"
    trials: int
    front: tuple[int, ...]
    clocks_mhz: tuple[float, ...] = Field(default=(), exclude_if=lambda clocks_mhz: not clocks_mhz)
    reason: str
    recorded_at: str
    host: str

    def holds(self, point: PointKey) -> bool:
        """Whether a point is on the front."""
        if not self.clocks_mhz:
            return point.number in self.front
        return point in map(PointKey, self.front, self.clocks_mhz)


Record = (
    HeaderRecord | TrialRecord | MemberRecord | RejectedRecord | FinishedRecord | ReplayHeaderRecord | ReplayedRecord
)
