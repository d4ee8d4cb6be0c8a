"""A replay for the terminal: pure functions that return what rich can print."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crest.measurement import Estimate
from crest.replay.comparison import Cell, Column, Comparison
from crest.report.format import ABSENT, format_interval, format_value, title_of
from crest.search.policy import MEASURED_METRICS

_ALWAYS_SHOWN = ("latency_ms", "energy_per_window_uj", "flash_bytes", "ram_bytes")


def replay_tables(found: Comparison) -> RenderableType:
    """Source beside target for each board; of several boards also the matrix of all."""
    parts: list[RenderableType] = [_board_table(found, board) for board in found.boards]
    if len(found.boards) > 1:
        parts.append(_matrix(found))
    return Group(*parts)


def _board_table(found: Comparison, board: Column) -> Table:
    """A row a network; costs in the run and on the board, these with their intervals."""
    source = found.source
    table = Table(
        title=Text(f"{found.run}: {source.label}, {source.schedule} -> {board.label}, {board.schedule}"),
        caption=Text(_agreement_text(found, board)),
    )
    objectives = found.policy.objectives
    costs = [name for name in objectives if found.policy.recorded(name) & set(MEASURED_METRICS)]
    errors = [name for name in objectives if name not in costs]
    costs += [name for name in _ALWAYS_SHOWN if name not in costs]
    table.add_column("trial", justify="right")
    for name in errors:
        table.add_column(Text(title_of(name)), justify="right")
    for name in costs:
        table.add_column(Text(f"{title_of(name)}\nsource"), justify="right")
        table.add_column(Text("\ntarget"), justify="right")
    table.add_column("verdict", overflow="fold")
    for before, cell in zip(source.cells, board.cells, strict=True):
        row = [str(cell.network.number), *(format_value(name, cell.metrics.get(name)) for name in errors)]
        for name in costs:
            row += [_value(before, name), _value_over_interval(cell, name)]
        table.add_row(*map(Text, (*row, _verdict(cell))))
    return table


def _matrix(found: Comparison) -> Table:
    """Networks by places, of one metric; a star marks the front of each place."""
    table = Table(
        title=Text(f"{title_of(found.metric)}; * on the front of the board"), caption=Text(_everywhere(found))
    )
    table.add_column("trial", justify="right")
    for place, note in ((found.source, "source"), *((board, "") for board in found.boards)):
        table.add_column(Text(f"{place.label}\n{note}".strip()), justify="right")
    for index, cell in enumerate(found.source.cells):
        cells = [place.cells[index] for place in found.places]
        table.add_row(str(cell.network.number), *(Text(_marked(one, found.metric)) for one in cells))
    table.add_section()
    agreements = [found.agreement(board) for board in found.boards]
    size = len(found.source.front)
    table.add_row("front", f"{size}", *(f"{len(one.shared)} of {size}" for one in agreements))
    table.add_row("tau", "", *(_tau(one.kendall_tau) for one in agreements))
    return table


def _agreement_text(found: Comparison, board: Column) -> str:
    agreement = found.agreement(board)
    return (
        f"{len(board.front)} on the front, {len(agreement.shared)} of them on that of the source; "
        f"{title_of(found.metric)} of {agreement.compared} networks: Kendall's tau {_tau(agreement.kendall_tau)}"
    )


def _everywhere(found: Comparison) -> str:
    numbers = ", ".join(map(str, found.everywhere)) or "none"
    return f"front: members of the source's front that stay; tau: Kendall's, with the source; on every front: {numbers}"


def _value(cell: Cell, name: str) -> str:
    return format_value(name, cell.metrics.get(name)) if cell.measurement else ABSENT


def _value_over_interval(cell: Cell, name: str) -> str:
    estimate = getattr(cell.measurement, name, None)
    interval = format_interval(name, estimate) if isinstance(estimate, Estimate) else ""
    return f"{_value(cell, name)}\n{interval}".rstrip()


def _verdict(cell: Cell) -> str:
    return f"{cell.verdict}: {cell.reason}" if cell.reason else cell.verdict


def _marked(cell: Cell, metric: str) -> str:
    """The value, or why there is none in a word; what is late or breaks a constraint has brackets."""
    if cell.measurement is None:
        return "does not fit" if cell.verdict == "infeasible" else cell.verdict
    value = format_value(metric, cell.metrics.get(metric))
    return {"front": f"{value} *", "infeasible": f"({value})"}.get(cell.verdict, value) if value != ABSENT else value


def _tau(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"
