"""Fits an energy model's coefficients to measured rows: what one repetition drew is linear in them.

::

    energy = run power (clock, fetch region) * run time + sum over counts of count * event energy
           + rest power (state, clock) * time asleep + wake-ups * wake-up energy (state, clock)

Rows are weighed by their own energy, so that relative errors count. No coefficient is below zero. Event energies are
drawn towards zero by a ridge in units of what each event can contribute, so that those which the rows do not tell apart
vanish; how strongly, the networks that are left out decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crest.calibrate.rows import PowerRow
from crest.errors import CalibrationError
from crest.models.extras import require_search_extra

Array = NDArray[np.float64]

# Work that a core or a memory does beyond passing time, as far as small programs can isolate it.
_WORK: Final = ("mul", "mla", "smlad", "smlabb", "smlal", "fp")
_LEAST_SHARE: Final = 0.03
"""Of the instructions of one row at least: an event that is rarer everywhere is not fitted."""
RIDGES: Final = (1e-6, 1e-4, 1e-3, 1e-2)


class Term(NamedTuple):
    """One coefficient: what it belongs to. Powers are in uW, event energies in pJ, wake-up energies in uJ."""

    kind: Literal["run", "event", "rest", "wake_up"]
    name: str
    clock_mhz: float | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients, [terms], with their standard errors, in the units of ``Term``."""

    terms: tuple[Term, ...]
    values: Array
    errors: Array
    ridge: float

    def energy_uj(self, rows: Sequence[PowerRow]) -> Array:
        """Predicted energy of one repetition, [rows]."""
        return np.asarray(_design(rows, self.terms) @ self.values)

    def of(self, kind: str) -> dict[Term, tuple[float, float]]:
        """Value and standard error of the terms of a kind."""
        found = zip(self.terms, self.values.tolist(), self.errors.tolist(), strict=True)
        return {term: (value, error) for term, value, error in found if term.kind == kind}


def fit_rows(rows: Sequence[PowerRow], regions: Collection[str]) -> Fit:
    """Fit with the ridge under which networks that are left out are predicted best.

    Args:
        rows: probes and networks.
        regions: names of the memory regions of the target.

    Raises:
        CalibrationError: fewer rows than coefficients.
        MissingExtraError: scipy is not installed.
    """
    terms = terms_of(rows, regions)
    if len(rows) < len(terms):
        raise CalibrationError(
            f"{len(rows)} rows for {len(terms)} coefficients: nothing can be told apart",
            hint="measure more programs: probes of the memories, sleep at several periods, networks",
        )
    ratios = {ridge: left_out_ratios(rows, terms, ridge) for ridge in RIDGES}
    chosen = min(RIDGES, key=lambda ridge: median_error(ratios[ridge].values()))
    return _fit(rows, terms, chosen)


def median_error(ratios: Collection[float]) -> float:
    """Median of ``|predicted / measured - 1|`` over measured / predicted; infinite over nothing."""
    return float(np.median([abs(1 / ratio - 1) for ratio in ratios])) if ratios else np.inf


def terms_of(rows: Sequence[PowerRow], regions: Collection[str]) -> tuple[Term, ...]:
    """The coefficients that rows can tell of."""
    events = [*_WORK, *(f"{kind}_{region}" for kind in ("load", "store") for region in sorted(regions))]
    runs = sorted({(row.run.clock_mhz, row.run.fetch_region) for row in rows})
    asleep = [row.run for row in rows if row.run.sleep is not None]
    rests = sorted({(run.clock_mhz, str(run.sleep)) for run in asleep if run.sleep_ms})
    wakes = sorted({(run.clock_mhz, str(run.sleep)) for run in asleep if run.wake_ups})
    return (
        *(Term("run", region, clock_mhz) for clock_mhz, region in runs),
        *(Term("event", name) for name in events if max(_share(row, name) for row in rows) >= _LEAST_SHARE),
        *(Term("rest", name, clock_mhz) for clock_mhz, name in rests),
        *(Term("wake_up", name, clock_mhz) for clock_mhz, name in wakes),
    )


def left_out_ratios(rows: Sequence[PowerRow], terms: tuple[Term, ...], ridge: float) -> dict[int, float]:
    """Measured / predicted energy of each network's rows under a fit that has seen none of them, by place in ``rows``.

    Networks of one name, at several clocks, are left out together. Without networks, the same of every row.
    """
    judged = _judged(rows)
    ratios: dict[int, float] = {}
    for name in sorted({rows[place].run.name for place in judged}):
        inside = [place for place in judged if rows[place].run.name == name]
        fit = _fit([row for row in rows if row.run.name != name], terms, ridge)
        predicted_uj = fit.energy_uj([rows[place] for place in inside]).tolist()
        ratios |= {
            place: rows[place].energy_uj / energy_uj
            for place, energy_uj in zip(inside, predicted_uj, strict=True)
            if energy_uj > 0
        }
    return ratios


def _judged(rows: Sequence[PowerRow]) -> list[int]:
    """Places of the rows that a model is judged by: networks, or all where there are none."""
    return [n for n, row in enumerate(rows) if row.run.group == "network"] or list(range(len(rows)))


def _share(row: PowerRow, count: str) -> float:
    return row.run.counts.get(count, 0) / max(1, row.run.counts.get("instructions", 0))


def _fit(rows: Sequence[PowerRow], terms: tuple[Term, ...], ridge: float) -> Fit:
    nnls = require_search_extra("scipy.optimize").nnls
    energies = np.array([row.energy_uj for row in rows])
    weighed = _design(rows, terms) / energies[:, None]
    scales = np.sqrt((weighed**2).sum(axis=0))
    scales[scales == 0] = 1.0
    scaled = weighed / scales
    is_event = np.array([term.kind == "event" for term in terms], float)
    penalty = np.diag(np.sqrt(ridge) * is_event)
    values, _ = nnls(np.vstack([scaled, penalty]), np.concatenate([np.ones(len(rows)), np.zeros(len(terms))]))
    residual = 1 - scaled @ values
    active = values > 0
    freedom = max(1, len(rows) - int(active.sum()))
    variance = float(residual @ residual) / freedom
    normal = (scaled.T @ scaled + penalty**2)[np.ix_(active, active)]
    errors = np.zeros(len(terms))
    errors[active] = np.sqrt(np.diag(np.linalg.pinv(normal)) * variance)
    return Fit(terms, values / scales, errors / scales, ridge)


def _design(rows: Sequence[PowerRow], terms: Sequence[Term]) -> Array:
    """Energy in uJ of one unit of each coefficient, [rows, terms]."""
    return np.array([[_unit_uj(row, term) for term in terms] for row in rows])


def _unit_uj(row: PowerRow, term: Term) -> float:
    run = row.run
    if term.kind == "run":
        return run.run_ms * 1e-3 if (run.fetch_region, run.clock_mhz) == (term.name, term.clock_mhz) else 0.0
    if term.kind == "event":
        return run.counts.get(term.name, 0) * 1e-6
    if (run.sleep, run.clock_mhz) != (term.name, term.clock_mhz):
        return 0.0
    return run.sleep_ms * 1e-3 if term.kind == "rest" else float(run.wake_ups)
