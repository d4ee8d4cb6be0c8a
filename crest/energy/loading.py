"""Finds and reads the energy model that fits a target."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from crest.assets import asset_path
from crest.count_names import is_count
from crest.energy.model import EnergyModel, EnergyModelFile, Work
from crest.errors import AssetError
from crest.measurement import Boundary
from crest.schedule import PowerStates
from crest.targets import Target
from crest.yaml_io import load_yaml, validate

OWN_FOLDER: Final = "CREST_ENERGY_MODELS"
"""Names a folder with energy models of the user's, which are taken before those that ship."""


def load_energy_model(target: Target, boundary: Boundary = "mcu_rail", path: Path | None = None) -> EnergyModel:
    """Read the energy model of a target for the supply that the target declares.

    Args:
        target: the board.
        boundary: ``mcu_rail`` (what a battery on the MCU's rail sees) or ``whole_board``.
        path: a file of the user's instead of ``energy_models/<target>.yaml``; ``<target>.energy.yaml`` is looked for in
            the folder that ``$CREST_ENERGY_MODELS`` names and beside a target of the user's first.

    Raises:
        AssetError: no such file, a malformed one, one of another board, or none for this boundary and supply.
    """
    path = path or energy_model_path(target)
    models = load_energy_models(target, path)
    if not models:
        raise AssetError(
            f"target {target.name!r} has no energy model: {path} does not exist",
            hint=f"write one, as {target.name}.energy.yaml beside a target of yours; energy_models/ has examples",
        )
    candidates = [model for model in models if model.boundary == boundary]
    for model in candidates:
        if model.conditions.hold_at(target.supply.volt, target.supply.regulator):
            _check_names(model, target, path)
            return model
    have = ", ".join(f"{model.boundary} at {model.conditions.label}" for model in models)
    raise AssetError(
        f"{path}: no {boundary} model for {target.supply.volt:g} V {target.supply.regulator}, the supply of"
        f" target {target.name!r}",
        hint=f"it holds {have}; a model is never used outside of its conditions",
    )


def load_energy_models(target: Target, path: Path | None = None) -> tuple[EnergyModel, ...]:
    """Every energy model of a target, by boundary and supply; none where there is no file.

    Raises:
        AssetError: the file is malformed, or of another board.
    """
    path = path or energy_model_path(target)
    if not path.exists():
        return ()
    models = validate(load_yaml(path, AssetError), EnergyModelFile, str(path), AssetError).models
    if models[0].target != target.name:
        raise AssetError(f"{path}: this is the energy model of {models[0].target!r}, not of {target.name!r}")
    return models


class Power(NamedTuple):
    """What a price takes from an energy model: identity, ``none`` where there is none, power by state, and notes."""

    model: str
    states: PowerStates
    notes: tuple[str, ...] = ()


def load_power(target: Target, clock_mhz: float, fetch_region: str | None = None, work: Work | None = None) -> Power:
    """Power by state of a target's MCU rail at one of its clocks.

    A board may arrive before its energy model, and a model may not know what code costs outside of flash: every figure
    is then absent, with that reason.

    Args:
        target: the board.
        clock_mhz: one of its clocks.
        fetch_region: where the code lies; by default where the target keeps it.
        work: the program, whose operators and events power may depend on.

    Raises:
        AssetError: there is a file, and it is malformed or does not hold for this supply and clock.
    """
    if not energy_model_path(target).exists():
        return Power("none", PowerStates.unknown("no energy model", target.supply.volt))
    model = load_energy_model(target)
    region = fetch_region or target.code_region
    if region != target.code_region and region not in {state.fetch_region for state in model.run}:
        reason = f"the energy model of {target.name} does not know code in {region}"
        return Power(model.identity, PowerStates.unknown(reason, target.supply.volt))
    notes = model.notes(clock_mhz, region, work) if work is not None else ()
    return Power(model.identity, model.states(clock_mhz, region, target.supply.volt, work), notes)


def energy_model_path(target: Target) -> Path:
    """Where the energy models of a target are read from; the file need not be there.

    Raises:
        AssetError: ``$CREST_ENERGY_MODELS`` names no folder.
    """
    folders = [Path(named)] if (named := os.environ.get(OWN_FOLDER)) else []
    if folders and not folders[0].is_dir():
        raise AssetError(
            f"{OWN_FOLDER}: there is no folder {named}",
            hint="name the folder that holds <target>.energy.yaml, or unset the variable",
        )
    folders += [target.folder] if target.folder else []
    for folder in folders:
        if (path := folder / own_file_name(target)).exists():
            return path
    return asset_path("energy_models") / f"{target.name}.yaml"


def own_file_name(target: Target) -> str:
    """What a file of the user's with the energy models of a target is called."""
    return f"{target.name}.energy.yaml"


def _check_names(model: EnergyModel, target: Target, path: Path) -> None:
    regions = {region.name for region in target.regions}
    for state in model.run:
        if state.fetch_region not in regions:
            raise AssetError(
                f"{path}: {model.boundary}: fetch_region {state.fetch_region!r} is no region of {target.name!r}",
                hint=f"regions: {', '.join(sorted(regions))}",
            )
        if state.clock_mhz not in target.every_clock_mhz:
            raise AssetError(f"{path}: {model.boundary}: {target.name!r} has no clock of {state.clock_mhz:g} MHz")
    for name in (*model.event_energy_pj, *model.domain):
        if not is_count(name, regions):
            raise AssetError(
                f"{path}: {model.boundary}: an execution profile of {target.name!r} has no count {name!r}",
                hint="counts: crest/count_names.py, and load_<region>, store_<region>, unaligned_<region>",
            )
