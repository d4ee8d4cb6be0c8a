"""`crest profile`: where the cycles of a firmware go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from crest.cli.console import results, write_output
from crest.cli.options import ClockOption, TargetOption
from crest.count_names import INSTRUCTION_CLASSES
from crest.emulators.stubs import load_stubs
from crest.errors import EmulationError
from crest.profiling import FirmwareProfile, ProfileRequest, folded_stacks, profile_firmware, speedscope
from crest.report.format import format_estimate
from crest.targets import load_target

_NAME_WIDTH: Final = 16
_BORDER: Final = 3


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(profile)


def profile(
    firmware: Annotated[Path, typer.Argument(help="An .elf for a Cortex-M, not stripped.", show_default=False)],
    target: TargetOption,
    clock_mhz: ClockOption = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="Begin where this function is entered first; by default at reset.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="End where this function is entered; by default when --from returns.")
    ] = None,
    stubs: Annotated[Path | None, typer.Option(help="YAML of peripherals that the firmware expects.")] = None,
    max_instructions: Annotated[
        int | None, typer.Option(min=1, help="End the profile before it holds more instructions.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = 20,
    folded_file: Annotated[
        Path | None, typer.Option("--folded", help="Write folded stacks for flamegraph.pl or inferno.")
    ] = None,
    speedscope_file: Annotated[
        Path | None, typer.Option("--speedscope", help="Write a flame graph for https://www.speedscope.app.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole profile.")] = None,
) -> None:
    """Run a firmware on an emulated board and say where its cycles go: functions, lines, calling contexts.

    Example:  crest profile firmware.elf --target nano33ble --from main --speedscope flame.json
    """
    board = load_target(target).at(clock_mhz)
    request = ProfileRequest(
        elf=_read(firmware),
        target=board,
        begin=begin,
        end=end,
        instructions_max=max_instructions,
        stubs=load_stubs(stubs) if stubs else None,
    )
    found = profile_firmware(request)
    if folded_file is not None:
        write_output(folded_file, folded_stacks(found))
    if speedscope_file is not None:
        write_output(speedscope_file, speedscope(found, firmware.name))
    if json_file is not None:
        write_output(json_file, found.model_dump_json(indent=2) + "\n")
    _show(found, top)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise EmulationError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def _show(found: FirmwareProfile, top: int) -> None:
    if found.output:
        results.print("The firmware wrote:")
        results.print(found.output.rstrip("\n"), markup=False, highlight=False)
    results.print(_summary(found), _mix_table(found), _function_table(found, top))
    if found.lines_missing:
        results.print(f"No source lines: {found.lines_missing}", markup=False, highlight=False)
    else:
        results.print(_line_table(found, top))
    for note in found.notes:
        results.print(f"note: {note}", markup=False, highlight=False)


def _summary(found: FirmwareProfile) -> Table:
    table = Table(title=f"{found.target} at {found.clock_mhz:g} MHz", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("from", Text(found.begins))
    table.add_row("to", Text(found.ends))
    table.add_row("instructions", f"{found.instructions:,}")
    table.add_row("cycles", Text(format_estimate("cycles", found.cycles)))
    time = found.cycles.scaled(1e-3 / found.clock_mhz)
    table.add_row("time", Text(format_estimate("latency_ms", time)))
    table.add_row("engine, cycle model", f"{found.engine}, {found.cycle_model}")
    return table


def _table(title: str, names: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose numbers keep their room: on a narrow terminal the last of the names is cut."""
    heads = (*names, *numbers)
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    elastic = len(names) - 1
    room = results.width - 1 - sum(width + _BORDER for width in widths) + widths[elastic]
    table = Table(title=title)
    for column, name in enumerate(heads):
        width = min(widths[column], max(room, _NAME_WIDTH)) if column == elastic else widths[column]
        table.add_column(name, no_wrap=True, width=width, justify="left" if column < len(names) else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _mix_table(found: FirmwareProfile) -> Table:
    mix = sorted(found.mix.items(), key=lambda item: -item[1])
    rows = [(kind, INSTRUCTION_CLASSES[kind], f"{count:,}", _share(count, found.instructions)) for kind, count in mix]
    return _table("Instruction mix", ("class", "what"), ("executed", "share"), rows)


def _function_table(found: FirmwareProfile, top: int) -> Table:
    total = found.cycles.value or 0.0
    rows = [
        (
            row.name,
            f"{row.calls:,}",
            f"{row.self_instructions:,}",
            f"{row.self_cycles:,.0f}",
            _share(row.self_cycles, total),
            f"{row.inclusive_cycles:,.0f}",
            _share(row.inclusive_cycles, total),
        )
        for row in found.functions[:top]
    ]
    numbers = ("calls", "instr.", "cycles", "share", "incl. cycles", "share")
    return _table(_title("Functions", top, len(found.functions)), ("function",), numbers, rows)


def _line_table(found: FirmwareProfile, top: int) -> Table:
    total = found.cycles.value or 0.0
    rows = [
        (
            f"{Path(row.file).name}:{row.line}",
            _source(row.file, row.line),
            f"{row.instructions:,}",
            f"{row.cycles:,.0f}",
            _share(row.cycles, total),
        )
        for row in found.lines[:top]
    ]
    title = _title("Source lines", top, len(found.lines))
    return _table(title, ("line", "source"), ("instr.", "cycles", "share"), rows)


def _title(what: str, top: int, rows: int) -> str:
    return f"{what} by cycles" + (f", the first {top} of {rows}" if rows > top else "")


def _share(part: float, total: float) -> str:
    return f"{part / total:.1%}" if total else "-"


def _source(file: str, line: int) -> str:
    """The line itself, where its file is at hand."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return text[line - 1].strip() if line <= len(text) else ""
