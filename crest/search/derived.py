"""Derived metrics: what the expressions of a policy give for one point, or why they give nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from crest.study import Policy
from crest.study.policy import SCORE


class Derived(NamedTuple):
    """The derived metrics of one point.

    Attributes:
        values: those that have a value.
        reasons: why others have none though all that they name is known; what is not known yet is in neither.
    """

    values: dict[str, float]
    reasons: dict[str, str]

    def reason(self, names: Iterable[str]) -> str | None:
        """Why the first of these metrics that has no value has none; None when all are known, or not known yet."""
        return next((self.reasons[name] for name in names if name in self.reasons), None)


def derive(policy: Policy, metrics: Mapping[str, float]) -> Derived:
    """Evaluate what can be evaluated.

    Args:
        policy: says how metrics are derived.
        metrics: recorded metrics by name.
    """
    found = Derived({}, {})
    for name, expression in policy.derived.items():
        names = [use.name for use in expression.names]
        cause = found.reason(names)
        if cause is not None:
            found.reasons[name] = cause
        elif all(each in metrics or each in found.values for each in names):
            try:
                found.values[name] = expression.evaluate({**metrics, **found.values})
            except ValueError as exc:
                found.reasons[name] = f"{name if name == SCORE else f'derive.{name}'}: {exc}"
    return found


def recorded_metrics(policy: Policy, names: Iterable[str]) -> tuple[str, ...]:
    """The recorded metrics that some metrics stand on, each once."""
    return tuple(dict.fromkeys(each for name in names for each in sorted(policy.recorded(name))))
