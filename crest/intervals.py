"""Carries intervals through a formula: the one way in which estimates are combined, and what a model gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Final

from pydantic import Field

from crest.frozen import Frozen
from crest.measurement import Estimate, Origin

_TRUST: Final[tuple[Origin, ...]] = ("measured", "emulated", "estimated")


class RelativeError(Frozen):
    """Ends of true / predicted, and how likely they hold."""

    low: float = Field(gt=0, le=1)
    high: float = Field(ge=1, le=100)
    confidence: float = Field(gt=0, lt=1)
    reason: str = Field(min_length=1)

    def estimate(self, origin: Origin) -> Estimate:
        """The factor one, with these ends."""
        return Estimate(value=1.0, origin=origin, low=self.low, high=self.high, confidence=self.confidence)


def combine(function: Callable[..., float], *estimates: Estimate, first_breakpoints: Sequence[float] = ()) -> Estimate:
    """Evaluate ``function`` on the values of ``estimates`` and bound it over the box of their intervals.

    The function is evaluated at every corner of the box. That bounds it exactly where it is monotone in each
    argument between its breakpoints; ``first_breakpoints`` are the points where it bends in its first argument.
    Ends are taken together, not in quadrature: the inputs of one board err together (temperature, supply, part),
    so the result is at least as wide as independent errors would make it.

    Args:
        function: takes one float per estimate; called up to ``(2 + breakpoints) * 2**(n - 1)`` times.
        estimates: the arguments; one without an interval counts as exact.
        first_breakpoints: further values of the first argument; those outside of its interval are ignored.

    Returns:
        An estimate of the least trusted origin among the arguments, at the lowest of their confidences; absent,
        with all reasons, as soon as one argument is absent.
    """
    origin = max((estimate.origin for estimate in estimates), key=_TRUST.index)
    reasons = [estimate.reason or "" for estimate in estimates if estimate.value is None]
    if reasons:
        return Estimate.absent("; ".join(dict.fromkeys(reasons)), origin)
    values = [float(estimate.value) for estimate in estimates if estimate.value is not None]
    value = function(*values)
    if all(estimate.low is None for estimate in estimates):
        return Estimate(value=value, origin=origin)
    axes = [_ends(estimate, number) for estimate, number in zip(estimates, values, strict=True)]
    axes[0] |= {point for point in first_breakpoints if min(axes[0]) < point < max(axes[0])}
    corners = [value, *(function(*corner) for corner in product(*axes))]
    confidences = [estimate.confidence for estimate in estimates if estimate.confidence is not None]
    return Estimate(
        value=value,
        origin=origin,
        low=min(corners),
        high=max(corners),
        confidence=min(confidences) if confidences else None,
    )


def _ends(estimate: Estimate, value: float) -> set[float]:
    if estimate.low is None or estimate.high is None:
        return {value}
    return {estimate.low, estimate.high}
