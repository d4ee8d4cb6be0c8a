"""What boards there are, and how far the models of each can be trusted: records for programs, tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crest.energy import EnergyModel, load_energy_models
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.report.format import format_value
from crest.targets import Region, StallFactor, Target
from crest.timing import CoreTiming
from crest.timing.memory_system import load_memory_timing
from crest.timing.model import load_core_timing

Quality = Literal["none", "declared", "fitted"]


class ModelSummary(Frozen):
    """How far a cycle or energy model can be trusted.

    ``quality``: none, fitted (to silicon cycles; to published or calibrated power), or declared (judgement and
    datasheet lines, within an interval). ``origin`` says of what in a few words, ``statements`` on what grounds.
    """

    quality: Quality
    origin: str
    statements: tuple[str, ...]


class TargetSummary(Frozen):
    """A board with the quality of its models and its sources."""

    name: str
    description: str
    mcu: str
    core: str
    fpu: str
    clock_mhz: tuple[float, ...]
    regions: tuple[Region, ...]
    flash_available_bytes: int
    ram_available_bytes: int
    ships: bool
    cycle_model: ModelSummary
    energy_model: ModelSummary
    sources: tuple[str, ...]


def summarise(target: Target) -> TargetSummary:
    """Everything that the tables show of a target.

    Raises:
        AssetError: its memory file is malformed, or its core has no timing.
    """
    same = set(TargetSummary.model_fields) - {"ships", "cycle_model", "energy_model", "sources"}
    return TargetSummary(
        **{field: getattr(target, field) for field in same},
        ships=target.folder is None,
        cycle_model=_cycle_model(target, load_core_timing(target.core)),
        energy_model=_energy_model_or_why_not(target),
        sources=target.sources.facts,
    )


def targets_table(summaries: Sequence[TargetSummary]) -> RenderableType:
    """One row a board."""
    table = Table(title="Targets")
    for heading in ("target", "core", "memory"):
        table.add_column(heading, no_wrap=True)
    for heading in ("cycle model", "energy model"):
        table.add_column(heading, overflow="fold")
    for one in summaries:
        memory = "\n".join(f"{region.name} {_bytes(region.size_bytes)}" for region in one.regions)
        core = "\n".join([*_core(one).split(", "), *(f"{clock:g} MHz" for clock in one.clock_mhz)])
        row = (one.name, core, memory, _label(one.cycle_model), _label(one.energy_model))
        table.add_row(*map(Text, row))
    return table


def target_table(one: TargetSummary) -> RenderableType:
    """One board in full, with the grounds of its models and its sources."""
    facts = Table(title=Text(f"{one.name}: {one.description}"), show_header=False)
    facts.add_column("fact")
    facts.add_column("value", overflow="fold")
    rows = [
        ("microcontroller", one.mcu),
        ("core", _core(one)),
        ("clocks", ", ".join(f"{clock:g} MHz" for clock in one.clock_mhz)),
        *((f"region {r.name}", f"{r.kind}, {_bytes(r.size_bytes)} at {r.base:#010x}") for r in one.regions),
        ("flash left by the vendor", _bytes(one.flash_available_bytes)),
        ("RAM left by the vendor", _bytes(one.ram_available_bytes)),
        ("cycle model", _grounds(one.cycle_model)),
        ("energy model", _grounds(one.energy_model)),
        ("sources", "\n".join(one.sources)),
    ]  # fmt: skip
    for name, text in rows:
        facts.add_row(Text(name), Text(text))
    return facts


def _cycle_model(target: Target, timing: CoreTiming) -> ModelSummary:
    stalls, memory = target.fetch_stall_factor, load_memory_timing(target)
    fitted = memory.is_fitted if memory else stalls.kind == "fit"
    quality: Quality = "fitted" if fitted else "declared"
    events = (f"memory events, {quality}: {memory.data.strip()} {memory.residual.strip()}",) if memory else ()
    return ModelSummary(
        quality=quality,
        origin=f"{timing.core} v{timing.version}, "
        + (f"memories v{memory.version}" if memory else f"stalls {_factor(stalls)}"),
        statements=(
            f"core: {timing.validation.strip()}",
            *events,
            f"memories, {stalls.kind}: {stalls.reason.strip()}",
            *(
                f"code in {region}, {_factor(other)}, {other.kind}: {other.reason.strip()}"
                for region, other in target.fetch_stall_factor_in.items()
            ),
        ),
    )


def _factor(stalls: StallFactor) -> str:
    return f"x{stalls.value:g} [{stalls.low:g}, {stalls.high:g}]"


def _energy_model_or_why_not(target: Target) -> ModelSummary:
    """A model of the user's that is wrong costs its own row, not the list."""
    try:
        return _energy_model(load_energy_models(target), target)
    except AssetError as exc:
        return ModelSummary(quality="none", origin=exc.message, statements=())


def _energy_model(models: Sequence[EnergyModel], target: Target) -> ModelSummary:
    """The MCU's rail under the target's supply, at its fastest clock, decides: prices are made with it by default.

    Raises:
        AssetError: the file does not know that clock.
    """
    supply = target.supply
    rails = [m for m in models if m.boundary == "mcu_rail" and m.conditions.hold_at(supply.volt, supply.regulator)]
    states = [model.run_state(max(target.clock_mhz), target.code_region) for model in rails]
    kinds = {coefficient.kind for state in states for coefficient in state.coefficients}
    fitted = bool(kinds) and kinds <= {"fit", "published"}
    quality: Quality = "none" if not rails else "fitted" if fitted else "declared"
    statements = [
        f"{model.boundary} at {model.conditions.label}: {coefficient.kind}: {coefficient.source}"
        for model in models
        for coefficient in model.run_coefficients()
    ]
    return ModelSummary(quality=quality, origin=", ".join(sorted(kinds)), statements=tuple(statements))


def _core(one: TargetSummary) -> str:
    return one.core if one.fpu == "none" else f"{one.core}, {one.fpu} FPU"


def _bytes(size_bytes: int) -> str:
    return format_value("size_bytes", size_bytes)


def _grounds(model: ModelSummary) -> str:
    return "\n".join([_label(model), *model.statements])


def _label(model: ModelSummary) -> str:
    return f"{model.quality}: {model.origin}" if model.origin else model.quality
