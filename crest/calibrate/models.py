"""From a fit to an energy model in the one form, beside what it replaces."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, get_args

import yaml
from pydantic import ValidationError

from crest.calibrate.fit import Fit, Term, fit_rows, left_out_ratios, median_error
from crest.calibrate.rows import PowerRow
from crest.energy.conformal import relative_error
from crest.energy.model import (
    Coefficient,
    Conditions,
    EnergyModel,
    EnergyModelFile,
    RestState,
    RunState,
    Share,
    Work,
)
from crest.errors import AssetError, CalibrationError, OutputError
from crest.files import write_atomically
from crest.measurement import Boundary
from crest.schedule import SleepName
from crest.targets import Target

COVERAGE: Final = 0.9
_Z: Final = 1.645  # of a normal distribution, 90 % between both signs
_NO_WAKE_UP_LATENCY: Final = (
    "measured, but how long a wake-up takes is not known: give the model that is replaced a wake_up_latency_us"
)


class Origin(NamedTuple):
    """Where rows come from: what measured what, around which boundary, at which supply."""

    identity: str
    boundary: Boundary
    supply_volt: float
    temperature_c: float | None = None


class Comparison(NamedTuple):
    """The new model beside the one that it would replace, on the left-out rows that both predict.

    Attributes:
        rows: how many.
        error: of the new one, median of ``|predicted / measured - 1|``, each row under a fit that has not seen it.
        replaced_error: the same of the old one, as it is.
    """

    rows: int
    error: float
    replaced_error: float


class Calibration(NamedTuple):
    """A fitted model, and how it stands beside the one that it would replace.

    Attributes:
        model: in the form of ``energy_models/``.
        fit: its coefficients with standard errors.
        left_out: measured / predicted energy of each network's rows under a fit that has not seen it, by place.
        error: median of ``|predicted / measured - 1|`` over those.
        comparison: None where no model is replaced, or it predicts none of these rows.
    """

    model: EnergyModel
    fit: Fit
    left_out: Mapping[int, float]
    error: float
    comparison: Comparison | None

    @property
    def is_worse(self) -> bool:
        """Whether it predicts networks that it has not seen worse than the other model does."""
        return self.comparison is not None and self.comparison.error > self.comparison.replaced_error


def calibrate(rows: Sequence[PowerRow], target: Target, origin: Origin, replaced: EnergyModel | None) -> Calibration:
    """Fit a model to measured rows.

    Args:
        rows: probes and networks.
        target: the board.
        origin: of the rows.
        replaced: the model to stand beside, whose wake-up latencies are kept: an energy tells none.

    Raises:
        CalibrationError: the rows do not tell the coefficients apart.
        MissingExtraError: scipy is not installed.
    """
    fit = fit_rows(rows, [region.name for region in target.regions])
    ratios = left_out_ratios(rows, fit.terms, fit.ridge)
    if not ratios:
        raise CalibrationError("no row can be predicted by the others", hint="measure more programs")
    model = _model(fit, rows, target, origin, replaced, ratios)
    comparison = None if replaced is None else _compare(replaced, rows, ratios, origin.supply_volt)
    return Calibration(model, fit, ratios, median_error(ratios.values()), comparison)


def write_models(calibration: Calibration, others: Sequence[EnergyModel], path: Path) -> None:
    """Write the model in the place of those that hold where it does; models of other boundaries and supplies stay.

    Raises:
        OutputError: the file cannot be written.
    """
    new = calibration.model
    kept = [m for m in others if m.boundary != new.boundary or not m.conditions.meet(new.conditions)]
    document = EnergyModelFile(models=(new, *kept)).model_dump(mode="json", exclude_defaults=True)
    text = "# Written by `crest calibrate`. Form, equation and units: docs/energy.md\n"
    try:
        write_atomically(path, (text + yaml.safe_dump(document, sort_keys=False, width=120)).encode())
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc


def _compare(
    replaced: EnergyModel, rows: Sequence[PowerRow], left_out: Mapping[int, float], volt: float
) -> Comparison | None:
    """A model may cover some of the clocks and memories that were measured: the rest says nothing of it."""
    ratios = {}
    for place in left_out:
        predicted_uj = predicted_energy_uj(replaced, rows[place], volt)
        if predicted_uj:
            ratios[place] = rows[place].energy_uj / predicted_uj
    if not ratios:
        return None
    return Comparison(len(ratios), median_error([left_out[place] for place in ratios]), median_error(ratios.values()))


def predicted_energy_uj(model: EnergyModel, row: PowerRow, volt: float) -> float | None:
    """Energy of one repetition by a model; None where it knows nothing of a state of the row."""
    run = row.run
    try:
        states = model.states(run.clock_mhz, run.fetch_region, volt, Work(run.run_ms, run.counts, run.macs_by_operator))
    except AssetError:
        return None
    parts = [(states.run_power_uw, run.run_ms * 1e-3)]
    if run.sleep is not None:
        rest = states.sleep if run.sleep == "sleep" else states.deep_sleep
        parts += [(rest.power_uw, run.sleep_ms * 1e-3), (rest.wake_up_energy_uj, float(run.wake_ups))]
    if any(estimate.value is None for estimate, _ in parts):
        return None
    return sum(float(estimate.value or 0.0) * factor for estimate, factor in parts)


def _model(
    fit: Fit,
    rows: Sequence[PowerRow],
    target: Target,
    origin: Origin,
    replaced: EnergyModel | None,
    ratios: Mapping[int, float],
) -> EnergyModel:
    networks = len({row.run.name for row in rows if row.run.group == "network"})
    programs: dict[Hashable, list[float]] = {}
    for place, ratio in ratios.items():
        programs.setdefault(rows[place].run.name, []).append(ratio)
    median = median_error(ratios.values())
    left_out = f"{len(programs)} {'networks' if networks else 'probes'}, each under a fit of all others"
    error = relative_error(programs, COVERAGE, f"Conformal, {left_out}")
    rests, not_modelled = _rests(fit, origin, replaced)
    runs = tuple(
        RunState(
            clock_mhz=term.clock_mhz or 0.0,
            fetch_region=term.name,
            power_uw=_coefficient(fit, term, origin),
            power_error=error,
        )
        for term in fit.of("run")
    )
    try:
        return EnergyModel(
            target=target.name,
            boundary=origin.boundary,
            version=1 if replaced is None else replaced.version + 1,
            covers=replaced.covers if replaced is not None else f"what {origin.identity} fed",
            conditions=Conditions(
                volt=(origin.supply_volt, origin.supply_volt),
                regulator=target.supply.regulator,
                temperature_c=origin.temperature_c,
                reason=None if origin.temperature_c is not None else "the temperature was not recorded",
            ),
            data=f"{len(rows)} programs, {networks} different networks among them; {origin.identity}",
            residual=f"median |predicted / measured - 1| {median:.2%} over {left_out}; ridge {fit.ridge:g}",
            run=runs,
            event_energy_pj={
                term.name: _coefficient(fit, term, origin) for term, (value, _) in fit.of("event").items() if value > 0
            },
            set_up="calibrated",
            candidate_error=error,
            domain={term.name: _domain(rows, term.name) for term in fit.of("event")},
            sleep=rests.get("sleep", ()),
            deep_sleep=rests.get("deep_sleep", ()),
            not_modelled=not_modelled,
        )
    except ValidationError as exc:
        raise CalibrationError(
            f"the fitted coefficients make no energy model: {exc.errors()[0]['msg']}",
            hint="are energies of one repetition in uJ, and times in ms?",
        ) from exc


def _coefficient(fit: Fit, term: Term, origin: Origin) -> Coefficient:
    index = fit.terms.index(term)
    value, spread = float(fit.values[index]), _Z * float(fit.errors[index])
    value, low, high = (_rounded(number) for number in (value, max(0.0, value - spread), value + spread))
    return Coefficient(
        value=value,
        low=low,
        high=high,
        confidence=COVERAGE,
        kind="fit",
        source=origin.identity,
        reason="least squares of the relative error, none below zero; the interval is the standard error of the fit",
    )


def _rounded(number: float) -> float:
    """Six digits: nobody measures more."""
    return float(f"{number:.6g}")


def _domain(rows: Sequence[PowerRow], count: str) -> Share:
    shares = [row.run.counts.get(count, 0) / max(1, row.run.counts.get("instructions", 0)) for row in rows]
    return Share(low=_rounded(min(shares)), high=_rounded(max(shares)))


def _rests(
    fit: Fit, origin: Origin, replaced: EnergyModel | None
) -> tuple[dict[SleepName, tuple[RestState, ...]], dict[SleepName, str]]:
    """Rest states that were measured, by clock, and why others are not there."""
    rests: dict[SleepName, tuple[RestState, ...]] = {}
    missing: dict[SleepName, str] = {}
    for name in get_args(SleepName):
        measured = [term for term in fit.of("rest") if term.name == name and term._replace(kind="wake_up") in fit.terms]
        found = [_rest(fit, term, origin, replaced) for term in measured]
        known = tuple(rest for rest in found if rest is not None)
        if known and {rest.clock_mhz for rest in known} == {term.clock_mhz for term in fit.of("run")}:
            rests[name] = known
        elif len(known) < len(found):
            missing[name] = _NO_WAKE_UP_LATENCY
        else:
            missing[name] = "not measured: no probe slept in this state" + (" at every clock" if known else "")
    return rests, missing


def _rest(fit: Fit, term: Term, origin: Origin, replaced: EnergyModel | None) -> RestState | None:
    """One rest state at one clock; None where its wake-up latency is not known."""
    given = () if replaced is None else replaced.sleep if term.name == "sleep" else replaced.deep_sleep
    before = next((rest for rest in given if rest.clock_mhz in (None, term.clock_mhz)), None)
    if before is None:
        return None
    power, volt = _coefficient(fit, term, origin), origin.supply_volt
    ends = {end: _rounded(getattr(power, end) / volt) for end in ("value", "low", "high")}
    return RestState(
        clock_mhz=term.clock_mhz,
        current_ua=power.model_copy(update=ends),
        wake_up_latency_us=before.wake_up_latency_us,
        wake_up_energy_uj=_coefficient(fit, term._replace(kind="wake_up"), origin),
    )
