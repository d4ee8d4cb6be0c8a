"""What happens during a search, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crest.ledger import (
    ChosenSampler,
    EarlierRun,
    FinishedRecord,
    MemberRecord,
    PointKey,
    RejectedRecord,
    TrialRecord,
)
from crest.search.contracts import Proposal


@dataclass(frozen=True)
class RunStarted:
    """The ledger is open.

    Attributes:
        run: name of the run.
        recorded_trials: trials that an earlier session left; 0 for a new run.
        changed_versions: software whose version differs from the earlier session's: name to (then, now).
        sampler: what ``sampler: auto`` came to; None when the study names one.
        warm_start: earlier runs that the sampler was told of.
    """

    run: str
    recorded_trials: int
    changed_versions: Mapping[str, tuple[str, str]]
    sampler: ChosenSampler | None = None
    warm_start: tuple[EarlierRun, ...] = ()


@dataclass(frozen=True)
class TrialStarted:
    """A candidate is being priced."""

    number: int
    proposal: Proposal


@dataclass(frozen=True)
class TrialPriced:
    """A candidate is feasible at this cost (metrics by name, at the first such clock), and is being trained."""

    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class EpochEnded:
    """One epoch of a training is over; epochs count from 1."""

    number: int
    epoch: int
    validation_loss: float


@dataclass(frozen=True)
class TrialFinished:
    """A trial is in the ledger."""

    record: TrialRecord


@dataclass(frozen=True)
class FrontChanged:
    """The front, as the search sees it so far."""

    front: tuple[PointKey, ...]


@dataclass(frozen=True)
class MemberStarted:
    """A member of the front is being rebuilt and verified."""

    number: int


@dataclass(frozen=True)
class MemberFinished:
    """A member of the front is in the ledger, verified or rejected."""

    record: MemberRecord | RejectedRecord


@dataclass(frozen=True)
class RunFinished:
    """The run reached its end."""

    record: FinishedRecord


Event = (
    RunStarted
    | TrialStarted
    | TrialPriced
    | EpochEnded
    | TrialFinished
    | FrontChanged
    | MemberStarted
    | MemberFinished
    | RunFinished
)
OnEvent = Callable[[Event], None]
