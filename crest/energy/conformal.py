"""Intervals from errors that a model made on programs it had not seen, when those errors come in groups.

Programs of one set-up err together, so that rows are not exchangeable; set-ups are. Each set-up weighs the same, its
rows share that weight, and one more set-up, the next one, is allowed to err without bound: the hierarchical conformal
method of Lee, Barber and Willett, "Distribution-free inference with hierarchical data" (2023).

Their guarantee in finite samples is for errors of one model on set-ups apart from those it was fitted to. Errors of
fits that each leave one set-up out, put around a fit of all of them, are the jackknife: that holds as far as one set-up
more hardly moves the fit, and promises nothing in finite samples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from crest.intervals import RelativeError

_WIDEST: Final = 100.0


def grouped_quantile(groups: Iterable[ArrayLike], coverage: float) -> float | None:
    """The bound that a row of a further group stays below with at least this probability.

    Args:
        groups: for each group, scores of its rows, none below zero.
        coverage: 0..1.

    Returns:
        The bound; None when there are too few groups to give one, fewer than ``coverage / (1 - coverage)``.

    Raises:
        ValueError: a group without rows, a score below zero or that is no number, or no such coverage.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"no coverage between 0 and 1: {coverage:g}")
    arrays = [np.atleast_1d(np.asarray(group, float)) for group in groups]
    if any(not array.size for array in arrays):
        raise ValueError("a group without rows")
    if any(not (array >= 0).all() for array in arrays):
        raise ValueError("a score below zero, or that is no number")
    scores = np.concatenate(arrays) if arrays else np.empty(0)
    weights = np.concatenate([np.full(len(a), 1 / len(a)) for a in arrays]) if arrays else np.empty(0)
    order = np.argsort(scores)
    reached = np.cumsum(weights[order]) / (len(arrays) + 1)
    enough = np.flatnonzero(reached >= coverage - 1e-12)
    return float(scores[order][enough[0]]) if len(enough) else None


def relative_error(ratios: Mapping[Hashable, Sequence[float]], coverage: float, reason: str) -> RelativeError | None:
    """The interval of true / predicted for a further group, even in its logarithm.

    Args:
        ratios: true / predicted of rows that were left out, by group.
        coverage: 0..1.
        reason: what the interval says of itself.

    Returns:
        The interval; None when there are too few groups.

    Raises:
        ValueError: a ratio that is not above zero or not finite, a group without any, or an interval that is too wide
            to say anything.
    """
    wrong = [ratio for group in ratios.values() for ratio in group if not 0 < ratio < np.inf]
    if wrong:
        raise ValueError(f"true over predicted is {wrong[0]:g}")
    bound = grouped_quantile((np.abs(np.log(group)) for group in ratios.values()), coverage)
    if bound is None:
        return None
    if bound > np.log(_WIDEST):
        raise ValueError(f"true over predicted is off by a factor of {np.exp(bound):.4g}: no interval of use")
    return RelativeError(low=float(np.exp(-bound)), high=float(np.exp(bound)), confidence=coverage, reason=reason)


def coverage_bounds(covered: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson bounds of a coverage that held ``covered`` times out of ``total``, each 0..1.

    Raises:
        ValueError: nothing was covered out of nothing, or more than all.
    """
    from scipy.stats import binomtest

    interval = binomtest(covered, total).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)
