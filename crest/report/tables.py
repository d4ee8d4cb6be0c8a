"""Tables for the terminal: pure functions that return what rich can print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crest.ledger.records import Record
from crest.measurement import Measurement
from crest.report.format import ABSENT, format_value, title_of
from crest.report.rows import (
    candidate_text,
    cost_rows,
    counts_text,
    front_columns,
    layer_rows,
    memory_rows,
    metric_cell,
)
from crest.report.view import view_run

_SHARE_WIDTH = 20


def front_table(records: Sequence[Record]) -> RenderableType:
    """The front of a run, finished or running: a row a member, then what each member is."""
    view = view_run(records)
    state = "finished" if view.finished else "running"
    table = Table(
        title=Text(f"Front of {view.header.run if view.header else 'this run'} ({state})"),
        caption=Text(counts_text(view)),
    )
    table.add_column("trial", justify="right")
    table.add_column("clock", justify="right")
    columns = front_columns(view)
    for name in columns:
        table.add_column(Text(title_of(name)), justify="right")
    table.add_column("price")
    for entry in view.front:
        table.add_row(
            str(entry.number),
            entry.clock_text,
            *(Text(metric_cell(entry, name)) for name in columns),
            "final" if entry.member else "search",
        )
    candidates = {entry.number: candidate_text(entry) for entry in view.front}
    return Group(table, *(Text(f"trial {number}: {text}") for number, text in candidates.items()))


def measurement_table(measurement: Measurement, extra: Sequence[tuple[str, str]] = ()) -> RenderableType:
    """What a program costs: costs with intervals, memory by owner, cycles by layer, notes.

    Args:
        measurement: the measurement to show.
        extra: further rows (name, text) below the costs, for example a battery life.
    """
    parts: list[RenderableType] = [
        _cost_table(measurement, extra),
        _memory_table(measurement),
        _layer_table(measurement),
    ]
    parts += [Text(f"note: {note}", style="dim") for note in measurement.notes]
    return Group(*parts)


def _cost_table(measurement: Measurement, extra: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=Text(f"{measurement.target} at {measurement.clock_mhz:g} MHz, {measurement.schedule}"))
    table.add_column("cost")
    table.add_column(Text("value [interval]"), justify="right")
    table.add_column(Text("between programs"), justify="right")
    table.add_column("origin")
    for row in cost_rows(measurement):
        table.add_row(Text(title_of(row.name)), Text(row.text), Text(row.between_programs), row.origin)
    for name, text in extra:
        table.add_row(Text(name), Text(text), ABSENT, ABSENT)
    table.caption = Text(
        f"{measurement.golden_pairs_checked} golden pairs checked; timing {measurement.timing_model}; "
        f"energy {measurement.energy_model}; {measurement.toolchain}; runtime {measurement.runtime}; "
        f"{measurement.lowering} lowering; {measurement.placement}; ELF {measurement.elf_sha256[:12]}"
    )
    return table


def _memory_table(measurement: Measurement) -> Table:
    table = Table(title="Memory by owner")
    table.add_column("memory")
    table.add_column("owner")
    table.add_column("bytes", justify="right")
    for row in memory_rows(measurement.memory):
        table.add_row(row.memory, row.owner, f"{row.size_bytes:,}", style=None if row.counted else "dim")
    return table


def _layer_table(measurement: Measurement) -> Table:
    table = Table(title="Cycles by layer")
    table.add_column("layer", overflow="fold")
    table.add_column("operator")
    for name in ("MACs", "cycles", "cycles/MAC", "share"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=_SHARE_WIDTH)
    for row in layer_rows(measurement):
        table.add_row(
            Text(row.name),
            Text(row.operator),
            ABSENT if row.macs is None else f"{row.macs:,}",
            f"{row.cycles:,.0f}",
            format_value("cycles_per_mac", row.cycles_per_mac),
            f"{row.share:.1%}",
            Bar(1.0, 0.0, min(row.share, 1.0), width=_SHARE_WIDTH),
        )
    return table
