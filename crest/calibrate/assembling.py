"""Coefficients of a fit, and what stays of the model before it, in the one form of an energy model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, get_args

from crest.calibrate.fit import Fit, Term
from crest.calibrate.rows import Origin, PowerRow, ProbeRun
from crest.energy.model import Coefficient, Conditions, EnergyModel, RestState, RunState, Share
from crest.intervals import RelativeError
from crest.schedule import SleepName
from crest.targets import Target

_CONFIDENCE: Final = 0.9
_NO_WAKE_UP_LATENCY: Final = (
    "measured, but how long a wake-up takes is not known: give the model that is replaced a wake_up_latency_us"
)


class Grounds(NamedTuple):
    """What a model says of itself: what it was fitted to, how well, and what it gets wrong about a program."""

    data: str
    residual: str
    error: RelativeError


def assemble(
    fit: Fit, rows: Sequence[PowerRow], target: Target, origin: Origin, grounds: Grounds, replaced: EnergyModel | None
) -> EnergyModel:
    """The model of a fit.

    Args:
        fit: its coefficients.
        rows: that it was fitted to.
        target: the board.
        origin: of the rows.
        grounds: of the model.
        replaced: the model before it, whose wake-up latencies are kept: an energy tells none.

    Raises:
        ValidationError: the coefficients make no energy model.
    """
    rests, not_modelled = _rests(fit, rows, origin, replaced)
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
        data=grounds.data,
        residual=grounds.residual,
        run=tuple(
            RunState(
                clock_mhz=term.clock_mhz or 0.0,
                fetch_region=term.name,
                power_uw=_coefficient(fit, term, origin),
                power_error=grounds.error,
            )
            for term in fit.of("run")
        ),
        event_energy_pj={
            term.name: _coefficient(fit, term, origin) for term, (value, _) in fit.of("event").items() if value > 0
        },
        set_up="calibrated",
        candidate_error=grounds.error,
        domain={term.name: _domain(rows, term.name) for term in fit.of("event")},
        sleep=rests.get("sleep", ()),
        deep_sleep=rests.get("deep_sleep", ()),
        not_modelled=not_modelled,
    )


def _coefficient(fit: Fit, term: Term, origin: Origin) -> Coefficient:
    value, low, high = (_rounded(number) for number in fit.interval(term))
    ends = "the interval is the standard error of the fit"
    if not value:
        ends = "at that bound; the upper end is its standard error if it were not"
    return Coefficient(
        value=value,
        low=low,
        high=high,
        confidence=_CONFIDENCE,
        kind="fit",
        source=origin.identity,
        reason=f"least squares of the relative error, none below zero; {ends}",
    )


def _rounded(number: float) -> float:
    """Six digits: nobody measures more."""
    return float(f"{number:.6g}")


def _domain(rows: Sequence[PowerRow], count: str) -> Share:
    shares = [row.run.counts.get(count, 0) / max(1, row.run.counts.get("instructions", 0)) for row in rows]
    return Share(low=_rounded(min(shares)), high=_rounded(max(shares)))


def _rests(
    fit: Fit, rows: Sequence[PowerRow], origin: Origin, replaced: EnergyModel | None
) -> tuple[dict[SleepName, tuple[RestState, ...]], dict[SleepName, str]]:
    """Rest states that were measured at every clock, and why others are not there."""
    rests: dict[SleepName, tuple[RestState, ...]] = {}
    missing: dict[SleepName, str] = {}
    clocks_mhz = sorted({term.clock_mhz or 0.0 for term in fit.of("run")})
    for name in get_args(SleepName):
        found = []
        for clock_mhz in clocks_mhz:
            asleep = [row.run for row in rows if (row.run.sleep, row.run.clock_mhz) == (name, clock_mhz)]
            found.append(_untold(name, clock_mhz, asleep) or _rest(fit, name, clock_mhz, origin, replaced))
        reasons = dict.fromkeys(reason for reason in found if isinstance(reason, str))
        if reasons:
            missing[name] = "; ".join(reasons)
        else:
            rests[name] = tuple(rest for rest in found if isinstance(rest, RestState))
    return rests, missing


def _untold(name: SleepName, clock_mhz: float, asleep: Sequence[ProbeRun]) -> str | None:
    """Why runs that slept in a state do not tell its power and the energy of its wake-up; None where they do."""
    if not asleep:
        return f"not measured: no probe slept in this state at {clock_mhz:g} MHz"
    if not any(run.wake_ups for run in asleep):
        return f"the energy of a wake-up at {clock_mhz:g} MHz was not measured: the rows have no wake_ups"
    if len({run.wake_ups / run.sleep_ms for run in asleep}) < 2:
        return f"the rows have one period of {name} at {clock_mhz:g} MHz: power and wake-ups are not told apart"
    return None


def _rest(fit: Fit, name: SleepName, clock_mhz: float, origin: Origin, replaced: EnergyModel | None) -> RestState | str:
    """One rest state at one clock, or why there is none."""
    power, wake_up = Term("rest", name, clock_mhz), Term("wake_up", name, clock_mhz)
    if fit.interval(power)[0] == 0:
        return f"its power at {clock_mhz:g} MHz vanishes: the rows do not tell it from what else they drew"
    given = () if replaced is None else replaced.sleep if name == "sleep" else replaced.deep_sleep
    before = next((rest for rest in given if rest.clock_mhz in (None, clock_mhz)), None)
    if before is None:
        return _NO_WAKE_UP_LATENCY
    drawn, volt = _coefficient(fit, power, origin), origin.supply_volt
    ends = {end: _rounded(getattr(drawn, end) / volt) for end in ("value", "low", "high")}
    return RestState(
        clock_mhz=clock_mhz,
        current_ua=drawn.model_copy(update=ends),
        wake_up_latency_us=before.wake_up_latency_us,
        wake_up_energy_uj=_coefficient(fit, wake_up, origin),
    )
