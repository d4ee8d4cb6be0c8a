"""One trial: price, decide feasibility, train, score. Pure but for the evaluators it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from crest.errors import (
    BackendError,
    CapacityError,
    CrestError,
    EmulationError,
    ModelError,
    ToolchainError,
    TrainingError,
)
from crest.ledger import TrialRecord
from crest.search import policy as scoring
from crest.search.contracts import Evaluators, Priced, Pricer, Proposal, Trained, Trainer
from crest.search.derived import derive, recorded_metrics
from crest.search.events import EpochEnded, OnEvent, TrialPriced, TrialStarted
from crest.search.points import as_one
from crest.search.stamp import stamp
from crest.study import Constraint, Policy

CANDIDATE_ERRORS: Final = (CapacityError, ModelError, ToolchainError, EmulationError, BackendError, TrainingError)
"""Errors that one candidate can cause; any other one ends the search."""


@dataclass(frozen=True)
class Job:
    """A trial to evaluate, at each of ``clocks_mhz``; None is the fastest of the target."""

    number: int
    proposal: Proposal
    target: str
    policy: Policy
    clocks_mhz: tuple[float | None, ...] = (None,)


def describe_error(error: CrestError) -> str:
    """An error as a reason in a record: its kind, what is wrong, what to do."""
    return f"{type(error).__name__}: {error.message}" + (f" ({error.hint})" if error.hint else "")


def evaluate_trial(job: Job, evaluators: Evaluators, on_event: OnEvent) -> TrialRecord:
    """Evaluate one candidate into the record of its trial.

    A candidate that breaks a constraint on cost, does not fit its target or misses its deadline is infeasible, and is
    not trained when it is so at every clock. A candidate that causes one of ``CANDIDATE_ERRORS`` has failed.

    Raises:
        CrestError: anything that is not the candidate's fault (absent data, absent extras, a wrong study).
    """
    on_event(TrialStarted(job.number, job.proposal))
    started = time.perf_counter()
    looked_at = [_price(job, clock_mhz, evaluators.pricer) for clock_mhz in job.clocks_mhz]
    spent = {"price_seconds": _seconds_since(started)}
    points = [each for each in looked_at if isinstance(each, TrialRecord)]
    feasible = [each for each in looked_at if isinstance(each, _Feasible)]
    if feasible:
        on_event(TrialPriced(job.number, scoring.cost_metrics(feasible[0].priced)))
        started = time.perf_counter()
        trained = _train(job, evaluators.trainer, on_event)
        spent["train_seconds"] = _seconds_since(started)
        points += [_scored(each, trained) for each in feasible]
    return as_one(points, job.policy).model_copy(update=spent)


class _Draft:
    """What is known so far about a trial."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._known: dict[str, Any] = {}

    def know(self, **fields: Any) -> None:
        self._known |= fields

    def record(self, state: str, **fields: Any) -> TrialRecord:
        proposal = self.job.proposal
        return TrialRecord.model_validate(
            {
                "number": self.job.number,
                "state": state,
                "candidate": dict(proposal.candidate),
                "quantization": proposal.quantization,
                "target": self.job.target,
                **self._known,
                **fields,
                **stamp(),
            }
        )


class _Feasible(NamedTuple):
    """A candidate that its price at one clock does not rule out."""

    draft: _Draft
    priced: Priced


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _price(job: Job, clock_mhz: float | None, pricer: Pricer) -> _Feasible | TrialRecord:
    """What goes on to training, or the record of what is refused at this clock."""
    draft = _Draft(job)
    try:
        priced = pricer.price(job.proposal.candidate, job.proposal.quantization, clock_mhz)
    except CapacityError as exc:
        return draft.record("infeasible", reason=describe_error(exc), violations={scoring.CAPACITY: 1.0})
    except CANDIDATE_ERRORS as exc:
        return draft.record("failed", reason=describe_error(exc))
    return _refused(draft, priced) or _Feasible(draft, priced)


def _train(job: Job, trainer: Trainer, on_event: OnEvent) -> Trained | str:
    """The trained candidate, or why there is none."""
    try:
        return trainer.train(
            job.number,
            job.proposal.candidate,
            job.proposal.quantization,
            lambda epoch, loss: on_event(EpochEnded(job.number, epoch, loss)),
        )
    except CANDIDATE_ERRORS as exc:
        return describe_error(exc)


def _refused(draft: _Draft, priced: Priced) -> TrialRecord | None:
    """The record of a candidate that its price rules out, or None when it goes on to training."""
    policy = draft.job.policy
    recorded = scoring.cost_metrics(priced)
    derived = derive(policy, recorded)
    metrics = {**recorded, **derived.values}
    finite = {name: value for name, value in priced.proxies.items() if math.isfinite(value)}
    draft.know(price=priced.measurement, proxies=finite, profile_key=priced.profile_key, derived=derived.values)
    constraints = scoring.cost_constraints(policy)
    if priced.measurement.deadline_missed:
        # What has no value cannot save a candidate that is late.
        constraints = tuple(item for item in constraints if item.metric in metrics)
        return _infeasible(draft, constraints, metrics, priced)
    needed = set(recorded_metrics(policy, policy.judged)) & set(scoring.COST_METRICS)
    absent = scoring.absent_reason(sorted(needed), metrics, priced.measurement)
    if absent is not None:
        return draft.record("failed", reason=f"BackendError: {absent}")
    underivable = derived.reason(policy.judged)
    if underivable is not None:
        return draft.record("failed", reason=f"StudyError: {underivable}")
    if scoring.describe_violations(constraints, metrics, priced.measurement) is not None:
        return _infeasible(draft, constraints, metrics, priced)
    return None


def _infeasible(
    draft: _Draft, constraints: Sequence[Constraint], metrics: Mapping[str, float], priced: Priced
) -> TrialRecord:
    return draft.record(
        "infeasible",
        reason=scoring.describe_violations(constraints, metrics, priced.measurement),
        violations=scoring.violations(constraints, metrics, priced.measurement),
    )


def _scored(candidate: _Feasible, trained: Trained | str) -> TrialRecord:
    """The record of a trained candidate, or of one whose training failed for the reason given."""
    draft, priced = candidate
    if isinstance(trained, str):
        return draft.record("failed", reason=trained)
    policy = draft.job.policy
    recorded = {**trained.metrics, **scoring.cost_metrics(priced)}
    needed = [*trained.metrics, *recorded_metrics(policy, policy.judged)]
    absent = scoring.absent_reason(needed, recorded, priced.measurement)
    if absent is None and not all(map(math.isfinite, trained.summary.validation_loss)):
        absent = "the validation loss is not finite"
    if absent is not None:
        return draft.record("failed", reason=f"TrainingError: {absent}")
    derived = derive(policy, recorded)
    underivable = derived.reason(policy.judged)
    if underivable is not None:
        return draft.record("failed", reason=f"StudyError: {underivable}")
    metrics = {**recorded, **derived.values}
    return draft.record(
        "complete",
        reason=scoring.describe_violations(policy.subject_to, metrics, priced.measurement),
        metrics=dict(trained.metrics),
        **scoring.scores(policy, recorded, priced.measurement),
        training=trained.summary,
        model=trained.model_path,
    )
