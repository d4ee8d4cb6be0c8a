"""Sums a finished run up: what each function, line and calling context cost, and what to know before believing it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from crest.count_names import INSTRUCTION_CLASSES
from crest.emulators.call_hook import DEPTH_MAX, NODES_MAX
from crest.emulators.traced_machine import TracedMachine
from crest.emulators.unicorn_engine import UnicornEngine
from crest.profiling.costs import (
    Code,
    Cost,
    PlaceCosts,
    cost_places,
    inclusive_costs,
    line_costs,
    main_region,
    node_costs,
    node_path,
)
from crest.profiling.lines import Line, LineTable
from crest.profiling.report import CallPath, FirmwareProfile, FunctionCost, LineCost
from crest.profiling.symbols import FunctionTable
from crest.targets import Target
from crest.timing import CycleModel, load_cycle_model


@dataclass(frozen=True)
class FinishedRun:
    """A run that is over.

    Attributes:
        elf: the firmware; ``functions`` and ``lines`` are read from it.
        target: the board.
        machine: what ran, not closed yet.
        begins, ends: where the profile begins, and why it ended, in words.
        exit_code: where the firmware gave one.
        spin_address: of an instruction that branches to itself, at which the run ended.
        output: text that the firmware wrote.
        notes: what is to be said of the run.
    """

    elf: bytes
    target: Target
    machine: TracedMachine
    functions: FunctionTable
    lines: LineTable
    begins: str
    ends: str
    exit_code: int | None
    spin_address: int | None
    output: str
    notes: tuple[str, ...]


def summarise(run: FinishedRun) -> FirmwareProfile:
    """Account for every instruction of a run."""
    calls, code = run.machine.calls, Code(run.machine.block_at, run.machine.code_at)
    model, doubts = _cycle_model(run)
    engine = f"{UnicornEngine.name} {UnicornEngine.version}"
    places = cost_places(calls, code, run.target.core, engine, model, run.spin_address)
    total = places.profile.total()
    own = node_costs(places)
    lines = {} if run.lines.problem else line_costs(calls, places, code, run.lines, model)
    return FirmwareProfile(
        elf_sha256=hashlib.sha256(run.elf).hexdigest(),
        target=run.target.name,
        core=run.target.core,
        clock_mhz=max(run.target.clock_mhz),
        engine=engine,
        cycle_model=model.identity,
        begins=run.begins,
        ends=run.ends,
        exit_code=run.exit_code,
        instructions=total.get("instructions", 0),
        cycles=model.total_cycles(places.profile),
        mix={name: total[name] for name in INSTRUCTION_CLASSES if total.get(name)},
        functions=_function_costs(run, own),
        lines=_line_costs(lines),
        lines_missing=run.lines.problem,
        paths=_paths(run, own),
        output=run.output,
        notes=(*run.notes, *doubts, *model.notes(places.profile), *_gaps(run, own, lines, places)),
    )


def _cycle_model(run: FinishedRun) -> tuple[CycleModel, tuple[str, ...]]:
    """The cycle model of the region that most of the code ran in, and what there is to doubt about it."""
    target = run.target
    region = main_region(run.machine.calls, target.regions)
    if region is None or region == target.code_region or region in target.fetch_stall_factor_in:
        return load_cycle_model(target, region), ()
    doubt = f"nothing is known of the cycles of code in {region}; those of {target.code_region} are given"
    return load_cycle_model(target), (doubt,)


def _function_costs(run: FinishedRun, own: dict[int, Cost]) -> tuple[FunctionCost, ...]:
    nodes = run.machine.calls.nodes()
    calls: dict[int, int] = defaultdict(int)
    alone: dict[int, Cost] = defaultdict(Cost)
    for number, (_, function, entered) in enumerate(nodes.tolist()):
        calls[function] += entered
        alone[function].add(own.get(number, Cost()))
    inclusive = inclusive_costs(nodes, own)
    rows = []
    for number, cost in alone.items():
        begin = run.functions.functions[number].begin if number < len(run.functions.functions) else None
        line = run.lines.at(begin) if begin is not None else None
        rows.append(
            FunctionCost(
                name=run.functions.name(number),
                address=begin,
                file=line.file if line else None,
                line=line.line if line else None,
                calls=calls[number],
                self_instructions=cost.instructions,
                self_cycles=cost.cycles,
                inclusive_instructions=inclusive[number].instructions,
                inclusive_cycles=inclusive[number].cycles,
            )
        )
    ran = [row for row in rows if row.inclusive_instructions]
    return tuple(sorted(ran, key=lambda row: (-row.self_cycles, row.name)))


def _line_costs(lines: dict[Line | None, Cost]) -> tuple[LineCost, ...]:
    rows = [
        LineCost(file=line.file, line=line.line, instructions=cost.instructions, cycles=cost.cycles)
        for line, cost in lines.items()
        if line is not None
    ]
    return tuple(sorted(rows, key=lambda row: (-row.cycles, row.file, row.line)))


def _paths(run: FinishedRun, own: dict[int, Cost]) -> tuple[CallPath, ...]:
    nodes = run.machine.calls.nodes()
    return tuple(
        CallPath(
            functions=tuple(run.functions.name(number) for number in node_path(nodes, node)),
            instructions=cost.instructions,
            cycles=cost.cycles,
        )
        for node, cost in sorted(own.items())
    )


def _gaps(run: FinishedRun, own: dict[int, Cost], lines: dict[Line | None, Cost], places: PlaceCosts) -> list[str]:
    """What the tables leave out."""
    calls, notes = run.machine.calls, []
    if calls.deep_calls:
        notes.append(
            f"{calls.deep_calls:,} calls were deeper than {DEPTH_MAX}: between, functions are missing from the paths, "
            "and from what includes them"
        )
    if lost := sum(cost.cycles for number, cost in own.items() if number >= NODES_MAX):
        notes.append(
            f"{lost:,.0f} cycles passed after {NODES_MAX:,} different paths were known: their functions begin paths of "
            "their own"
        )
    if (without := lines.get(None)) is not None and without.instructions:
        share = without.instructions / places.profile.total()["instructions"]
        notes.append(f"{share:.1%} of the instructions have no source line")
    return notes
