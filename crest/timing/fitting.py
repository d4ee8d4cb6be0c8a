"""Fits the terms of a memory system: cycles for each event, to measured cycles of programs whose counts are known.

The core's own cycles are fixed by its manual; only what is added to them is fitted, by least squares of the relative
error with no term below zero. At large sizes all counts grow with the work, so that single terms are identified by the
small and the odd programs alone: few terms, each with a meaning, and their spread over the folds beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Measured programs.

    Attributes:
        counts: [programs, terms].
        core_cycles: [programs], with memories that never make the core wait.
        measured_cycles: [programs], on silicon.
        kinds: [programs], by which one kind can be left out.
    """

    counts: Array
    core_cycles: Array
    measured_cycles: Array
    kinds: NDArray[np.str_]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        """Some of the programs."""
        return Rows(self.counts[chosen], self.core_cycles[chosen], self.measured_cycles[chosen], self.kinds[chosen])


def fit_terms(rows: Rows) -> Array:
    """Cycles of each term, [terms], none below zero."""
    weight = 1 / rows.measured_cycles
    waits = rows.measured_cycles - rows.core_cycles
    solution, _ = nnls(rows.counts * weight[:, None], waits * weight)
    return np.asarray(solution)


def predict(rows: Rows, cycles: Array) -> Array:
    """Predicted cycles, [programs], with ``cycles`` of each term."""
    return np.asarray(rows.core_cycles + rows.counts @ cycles)


def relative_errors(rows: Rows, cycles: Array) -> Array:
    """|predicted / measured - 1| of each program."""
    return np.asarray(np.abs(predict(rows, cycles) / rows.measured_cycles - 1))


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Errors of programs that a fit has not seen.

    Attributes:
        ratios: [programs], measured / predicted.
        terms: [folds, terms].
    """

    ratios: Array
    terms: Array

    @property
    def errors(self) -> Array:
        """|predicted / measured - 1| of each program."""
        return np.asarray(np.abs(1 / self.ratios - 1))


def cross_validate(rows: Rows, folds: int, seed: int) -> CrossValidation:
    """Fit on all folds but one, predict that one, for each fold; programs are dealt at random."""
    order = np.random.default_rng(seed).permutation(len(rows.core_cycles))
    ratios = np.empty(len(order))
    terms = []
    for fold in range(folds):
        held_out = np.isin(np.arange(len(order)), order[fold::folds])
        terms.append(fit_terms(rows.take(~held_out)))
        ratios[held_out] = rows.measured_cycles[held_out] / predict(rows.take(held_out), terms[-1])
    return CrossValidation(ratios, np.array(terms))


def leave_kinds_out(rows: Rows) -> dict[str, Array]:
    """Errors of the programs of each kind, under a fit of all other kinds."""
    errors = {}
    for kind in sorted(set(rows.kinds.tolist())):
        inside = rows.kinds == kind
        errors[kind] = relative_errors(rows.take(inside), fit_terms(rows.take(~inside)))
    return errors


def learning_curve(rows: Rows, sizes: Sequence[int], draws: int, seed: int) -> dict[int, tuple[float, float]]:
    """Median and 90th percentile of the errors of the rest, over random draws of so many programs to fit."""
    rng = np.random.default_rng(seed)
    total = len(rows.core_cycles)
    curve = {}
    for size in sizes:
        errors = []
        for _ in range(draws):
            order = rng.permutation(total)
            errors.append(relative_errors(rows.take(order[size:]), fit_terms(rows.take(order[:size]))))
        pooled = np.concatenate(errors)
        curve[size] = (float(np.median(pooled)), float(np.percentile(pooled, 90)))
    return curve
