"""What a fitted model gets wrong about a program that it has not seen: measured by networks left out, or declared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from crest.calibrate.rows import PowerRow
from crest.energy.conformal import relative_error
from crest.energy.model import EnergyModel
from crest.intervals import RelativeError

COVERAGE: Final = 0.9
NETWORKS_NEEDED: Final = 9
"""Fewer left-out networks have no conformal interval of that coverage."""
DECLARED: Final = (0.86, 1.16)
"""True / predicted between networks of one system, in published runs: docs/energy.md."""


class ProgramError(NamedTuple):
    """The interval, and what a user should hear of it; None where it was measured."""

    error: RelativeError
    warning: str | None


def program_error(
    rows: Sequence[PowerRow], left_out: Mapping[int, float], replaced: EnergyModel | None
) -> ProgramError:
    """Interval of true / predicted power of a further program.

    The standard error of a fit says how far its coefficients move, not what a program does that no coefficient tells.
    So too few networks, or probes alone, give a declared interval: never narrower than that of published runs, that of
    the model before it, or the errors seen.

    Args:
        rows: probes and networks.
        left_out: measured / predicted energy by place in ``rows``.
        replaced: the model before it.

    Raises:
        ValueError: a ratio that makes no interval.
    """
    networks: dict[Hashable, list[float]] = {}
    for place, ratio in left_out.items():
        if rows[place].run.group == "network":
            networks.setdefault(rows[place].run.name, []).append(ratio)
    count = len(networks)
    measured = relative_error(networks, COVERAGE, f"Conformal, {count} networks, each under a fit of all others")
    if measured is not None:
        return ProgramError(measured, None)
    seen = [ratio for ratios in networks.values() for ratio in ratios]
    before = [] if replaced is None or replaced.candidate_error is None else [replaced.candidate_error]
    error = RelativeError(
        low=min(DECLARED[0], *seen, *(known.low for known in before), 1.0),
        high=max(DECLARED[1], *seen, *(known.high for known in before), 1.0),
        confidence=COVERAGE,
        reason=f"declared: {count} left-out networks measure no interval of {COVERAGE:.0%}, {NETWORKS_NEEDED} do; the "
        "widest of what published runs show between networks of one system, of the model before it, and of the errors "
        "seen",
    )
    warning = (
        f"{count} networks were left out and predicted: the interval of a program is declared, {error.low:.3g} to "
        f"{error.high:.3g}; {NETWORKS_NEEDED} networks give a measured one"
    )
    return ProgramError(error, warning)
