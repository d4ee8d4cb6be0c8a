"""A study of several clocks prices each candidate at all of them and trains it once: one record holds every point.

The point that the policy prefers stands for the trial: it is what samplers are told and what is shown by default. The
front is taken over all points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crest.ledger import FinishedRecord, Outcome, PointKey, TrialRecord
from crest.search.policy import excess
from crest.search.stamp import stamp
from crest.study import Policy, Study

# A candidate is infeasible only if it is so at every clock.
_PREFERENCE: Final = ("complete", "failed", "infeasible")


def as_one(points: Sequence[TrialRecord], policy: Policy) -> TrialRecord:
    """The record of a trial from what became of it at each clock.

    Preferred is what breaks no constraint, or comes nearest to that; then the best first objective of the policy,
    then the best second one, and so on: the first objective that depends on the clock decides. Of what is feasible
    this point is on the trial's own front. Clocks that are equal by all that come in the order given.
    """
    first, *others = sorted(points, key=lambda point: _rank(point, policy))
    outcomes = [Outcome(**{name: getattr(other, name) for name in Outcome.model_fields}) for other in others]
    return first.model_copy(update={"alternatives": tuple(outcomes)})


def finished_record(study: Study, trials: int, front: Sequence[PointKey], reason: str) -> FinishedRecord:
    """The last record of a run; it names the clocks of the front where the study names several."""
    several = len(study.clocks_mhz) > 1
    return FinishedRecord(
        trials=trials,
        front=tuple(point.number for point in front),
        clocks_mhz=tuple(point.clock_mhz for point in front if several and point.clock_mhz is not None),
        reason=reason,
        **stamp(),
    )


def _rank(point: TrialRecord, policy: Policy) -> tuple[int, bool, float, list[float]]:
    objectives = list(policy.losses(point.objectives).values())
    return _PREFERENCE.index(point.state), point.price is None, excess(point.violations), objectives
