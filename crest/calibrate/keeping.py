"""What a new model keeps of the one before it: run states at clocks and memories that were not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from crest.energy.model import EnergyModel, RestState, RunState
from crest.intervals import RelativeError
from crest.schedule import SleepName


class Kept(NamedTuple):
    """The model with what it keeps, and what a user should hear of what it does not."""

    model: EnergyModel
    notes: tuple[str, ...]


def keep_states(model: EnergyModel, replaced: EnergyModel) -> Kept:
    """Add the run states of the model before that the new one does not know, as they are.

    Event energies, factors of operators and the set-up belong to a whole model: where they would change what the old
    states say, these are not kept.
    """
    volts = replaced.conditions.volt
    notes: tuple[str, ...] = ()
    if volts is not None and volts[0] < volts[1]:
        notes = (
            f"the model before it holds from {volts[0]:g} to {volts[1]:g} V, the new one {model.conditions.label}",
        )
    known = {(state.clock_mhz, state.fetch_region) for state in model.run}
    others = [state for state in replaced.run if (state.clock_mhz, state.fetch_region) not in known]
    if not others:
        return Kept(model, notes)
    names = ", ".join(f"{state.clock_mhz:g} MHz from {state.fetch_region}" for state in others)
    obstacle = _obstacle(model, replaced, others)
    if obstacle is not None:
        return Kept(model, (*notes, f"the new model does not know {names}, which the one before it does: {obstacle}"))
    assert model.candidate_error is not None and replaced.candidate_error is not None
    added = sorted({state.clock_mhz for state in others} - {state.clock_mhz for state in model.run})
    changed = {
        "run": (*model.run, *others),
        "candidate_error": _wider(model.candidate_error, replaced.candidate_error),
        "data": f"{model.data}; {names}: {replaced.identity}",
    }
    for name in get_args(SleepName):
        rests: tuple[RestState, ...] = getattr(model, name)
        changed[name] = (*rests, *(_rest_at(replaced, name, clock) for clock in added)) if rests else ()
    return Kept(EnergyModel(**{**dict(model), **changed}), (*notes, f"kept from the model before it: {names}"))


def _obstacle(model: EnergyModel, replaced: EnergyModel, others: Sequence[RunState]) -> str | None:
    if model.event_energy_pj or replaced.event_energy_pj:
        return "event energies are those of a whole model"
    if replaced.operator_factors:
        return "its factors of operators are those of a whole model"
    if replaced.set_up == "unknown" and any(state.power_error is not None for state in others):
        return "its intervals are for a set-up that is not known"
    if replaced.candidate_error is None:
        return "nothing tells what it gets wrong about a program"
    for name in get_args(SleepName):
        for state in others:
            if getattr(model, name) and _rest_at(replaced, name, state.clock_mhz) is None:
                return f"it knows no {name} at {state.clock_mhz:g} MHz"
    return None


def _rest_at(model: EnergyModel, name: SleepName, clock_mhz: float) -> RestState | None:
    given: tuple[RestState, ...] = getattr(model, name)
    found = next((rest for rest in given if rest.clock_mhz in (None, clock_mhz)), None)
    return None if found is None else found.model_copy(update={"clock_mhz": clock_mhz})


def _wider(one: RelativeError, other: RelativeError) -> RelativeError:
    return RelativeError(
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        confidence=min(one.confidence, other.confidence),
        reason=f"the wider of that of the new states and that of those kept. {one.reason}. {other.reason}",
    )
