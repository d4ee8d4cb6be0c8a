"""Objectives and hard constraints over recorded and derived metrics by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from crest import pareto
from crest.errors import ModelError, StudyError
from crest.ledger import MemberRecord, PointKey, TrialRecord
from crest.measurement import Estimate, Measurement
from crest.schedule import PowerStates, Schedule, characterise
from crest.search.contracts import Priced
from crest.search.derived import derive, recorded_metrics
from crest.study import Constraint, Policy

MEASURED_METRICS: Final = (
    "flash_bytes",
    "ram_bytes",
    "arena_bytes",
    "arena_lower_bound_bytes",
    "weights_bytes",
    "latency_ms",
    "cycles",
    "instructions",
    "energy_per_inference_uj",
    "energy_per_window_uj",
    "average_power_uw",
    "duty_cycle",
)
PROXY_METRICS: Final = ("flops", "macs", "parameters", "memory_traffic_bytes", "memory_traffic_unfused_bytes")
COST_METRICS: Final = MEASURED_METRICS + PROXY_METRICS
"""Known before a candidate is trained."""

CAPACITY: Final = "capacity"
"""Key of the violation of a candidate that does not fit its target; it is 1, for there is no measurement."""
DEADLINE: Final = "deadline"
"""Key of the violation of a candidate that outlasts the period of its schedule; it is 1."""


def check_metrics(policy: Policy, error_metrics: Sequence[str]) -> None:
    """Refuse a policy that names a metric nobody records, or derives one that is recorded.

    Args:
        policy: the policy of a study.
        error_metrics: what the workload computes.

    Raises:
        StudyError: an unknown name; the hint lists those that exist.
    """
    recorded = (*error_metrics, *COST_METRICS)
    for name in policy.derived:
        if name in recorded:
            raise StudyError(f"policy.derive: {name!r} is a recorded metric already", hint="choose another name")
    known = (*recorded, *policy.derived)
    for place, name in _named(policy):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise StudyError(
                f"{place}: unknown metric {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
                hint=f"metrics: {', '.join(known)}",
            )


def check_power(policy: Policy, target: str, states: PowerStates, schedule: Schedule) -> None:
    """Refuse a policy that names a figure no candidate can have, for the board's power is not known.

    Raises:
        StudyError: a named metric needs power or wake-up times that ``states`` lacks.
    """
    costs = characterise(Estimate(value=1.0, origin="estimated"), states, schedule)
    for place, name in _named(policy):
        estimate = getattr(costs, name, None) if name in COST_METRICS else None
        if isinstance(estimate, Estimate) and estimate.value is None:
            raise StudyError(
                f"{place}: {name} is not known on target {target!r} under this schedule: {estimate.reason}",
                hint="name latency_ms, cycles or a memory instead, or give the board an energy model; "
                "energy_models/ has examples",
            )


def _named(policy: Policy) -> list[tuple[str, str]]:
    """(where it stands in the study, metric) of every metric that a policy names."""
    named = [(f"policy.minimize.{index}", name) for index, name in enumerate(policy.minimize)]
    named += [(f"policy.maximize.{index}", name) for index, name in enumerate(policy.maximize)]
    named += [(f"policy.subject_to.{index}", item.metric) for index, item in enumerate(policy.subject_to)]
    for derived, expression in policy.derive.items():
        named += [(f"policy.derive.{derived}: column {use.column}", use.name) for use in expression.names]
    return named + [(f"policy.score.{index}.metric", term.metric) for index, term in enumerate(policy.score)]


def cost_metrics(priced: Priced) -> dict[str, float]:
    """What is recorded of a candidate before training, by name."""
    return {**priced.proxies, **priced.measurement.metrics()}


def scores(policy: Policy, recorded: Mapping[str, float], measurement: Measurement) -> dict[str, dict[str, float]]:
    """What a record of a point says by its policy: ``objectives`` as they are, ``derived`` metrics, ``violations``.

    Args:
        policy: the policy of the study.
        recorded: recorded metrics by name.
        measurement: the price of the point.

    Raises:
        ModelError: an objective or a constrained metric has no value; says why.
    """
    derived = derive(policy, recorded)
    absent = absent_reason(recorded_metrics(policy, policy.judged), recorded, measurement)
    absent = absent or derived.reason(policy.judged)
    if absent is not None:
        raise ModelError(absent)
    metrics = {**recorded, **derived.values}
    return {
        "objectives": {name: metrics[name] for name in policy.objectives},
        "derived": derived.values,
        "violations": violations(policy.subject_to, metrics, measurement),
    }


def violations(
    constraints: Iterable[Constraint], metrics: Mapping[str, float], measurement: Measurement
) -> dict[str, float]:
    """How far each constraint is from its limit, by its text: positive is violated, relative to the limit.

    A missed deadline of the schedule is a violation like any other.
    """
    missed = {DEADLINE: 1.0} if measurement.deadline_missed else {}
    return {**missed, **{str(item): item.violation(metrics[item.metric]) for item in constraints}}


def cost_constraints(policy: Policy) -> tuple[Constraint, ...]:
    """The constraints that are decided before training."""
    return tuple(item for item in policy.subject_to if is_cost(policy, item.metric))


def is_cost(policy: Policy, metric: str) -> bool:
    """Whether a metric is known before training: derived ones are when all that they stand on is."""
    return policy.recorded(metric) <= set(COST_METRICS)


def is_feasible(found: Mapping[str, float]) -> bool:
    """Whether no violation is positive."""
    return all(value <= 0 for value in found.values())


def excess(found: Mapping[str, float]) -> float:
    """Sum of the violations that are positive."""
    return sum(value for value in found.values() if value > 0)


def describe_violations(
    constraints: Iterable[Constraint], metrics: Mapping[str, float], measurement: Measurement
) -> str | None:
    """Which constraints are violated and by how much, for people; None when all are kept."""
    missed = [f"misses the deadline of its schedule ({measurement.schedule})"] if measurement.deadline_missed else []
    broken = [(item, metrics[item.metric]) for item in constraints if item.violation(metrics[item.metric]) > 0]
    texts = [*missed, *(f"{item.metric} is {value:.6g}, which breaks {item}" for item, value in broken)]
    return "; ".join(texts) or None


def absent_reason(names: Collection[str], metrics: Mapping[str, float], measurement: Measurement | None) -> str | None:
    """Why a named metric has no usable value; None when all have one."""
    for name in names:
        if name not in metrics:
            estimate = getattr(measurement, name, None)
            why = estimate.reason if isinstance(estimate, Estimate) else "nobody recorded it"
            return f"{name} has no value: {why}"
        if not math.isfinite(metrics[name]):
            return f"{name} is {metrics[name]}"
    return None


def price_difference_pct(trial: TrialRecord, final: Measurement) -> float:
    """Cycles of a member with its trained weights against those of its search-time price, in percent.

    Raises:
        ModelError: one of the two has no cycles.
    """
    before = trial.price.cycles.value if trial.price else None
    if not before or final.cycles.value is None:
        raise ModelError(f"trial {trial.number}: no cycles to compare with its search-time price")
    return 100.0 * (final.cycles.value / before - 1.0)


def is_eligible(record: TrialRecord | MemberRecord) -> bool:
    """Whether a point may be on a front: trained, and feasible."""
    trained = isinstance(record, MemberRecord) or record.state == "complete"
    return trained and is_feasible(record.violations)


def front_of(policy: Policy, scored: Iterable[TrialRecord | MemberRecord]) -> tuple[PointKey, ...]:
    """Which, in the order given, of the eligible points no other one dominates.

    Of points of one trial that are equal the first is taken.
    """
    eligible = [record for record in scored if is_eligible(record)]
    points = [tuple(policy.losses(record.objectives).values()) for record in eligible]
    chosen = pareto.front(points, [record.number for record in eligible])
    return tuple(eligible[index].key for index in chosen)
