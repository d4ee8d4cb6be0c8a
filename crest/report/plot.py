"""The front as a picture: the first objective over each of the others, error bars from the intervals."""

from __future__ import annotations

import io
from itertools import cycle
from typing import Any, Final, NamedTuple

from crest.models.extras import require_search_extra
from crest.report.format import Scale, scale_for, title_of
from crest.report.view import Entry, RunView, Status

_MAX_PANELS: Final = 3
_MARKERS: Final = "osD^vP*X"


class Palette(NamedTuple):
    """Colours of one appearance."""

    background: str
    text: str
    grid: str
    front: str
    dominated: str
    infeasible: str


LIGHT: Final = Palette("#ffffff", "#1c2128", "#e3e6ea", "#0b63c5", "#9aa3ad", "#9aa3ad")
DARK: Final = Palette("#15191e", "#e6e9ed", "#2d343c", "#6cb2ff", "#77818c", "#77818c")


def front_png(view: RunView, palette: Palette = LIGHT) -> bytes:
    """Draw the front of a run as PNG; see ``front_figure``."""
    buffer = io.BytesIO()
    front_figure(view, palette).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def front_figure(view: RunView, palette: Palette = LIGHT) -> Any:
    """Draw the front of a run as a matplotlib figure without any global state.

    Members of the front carry the intervals of their costs, a staircase borders what they dominate; dominated trials
    are grey; infeasible ones, which have no error, are grey ticks on the axis at the cost that is known. Each clock of
    the front has a marker of its own. With one objective it is drawn over the number of the trial.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    panels = view.objectives[1 : 1 + _MAX_PANELS] or ("",)
    figure = require_search_extra("matplotlib.figure").Figure(
        figsize=(6.4 * len(panels), 4.4), dpi=130, layout="constrained", facecolor=palette.background
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, cost in zip(axes, panels, strict=True):
        _draw_panel(axis, view, cost, palette)
    run = view.header.run if view.header else "this run"
    figure.suptitle(f"{run}: {len(view.front)} on the front", color=palette.text, parse_math=False)
    return figure


def _draw_panel(axis: Any, view: RunView, cost: str, palette: Palette) -> None:
    error = view.objectives[0] if view.objectives else ""
    x_scale, y_scale = _scale(view, cost), _scale(view, error)
    dominated = {"color": palette.dominated, "marker": "o", "markersize": 4, "zorder": 2}
    groups = [("dominated", _points(view, "dominated", cost, error), dominated)]
    front = {"color": palette.front, "markersize": 6, "zorder": 4}
    for (clock, points), marker in zip(_by_clock(_points(view, "front", cost, error)), cycle(_MARKERS), strict=False):
        groups.append((f"front{clock}", points, {"marker": marker, **front}))
    for name, points, style in groups:
        if points:
            labelled = {"label": f"{name} ({len(points)})", **style}
            _draw_points(axis, points, (cost, error), (x_scale, y_scale), labelled)
    signs = tuple(-1.0 if view.is_maximized(name) else 1.0 for name in (cost, error))
    _draw_staircase(axis, [_xy(entry, cost, error) for entry in view.front], signs, (x_scale, y_scale), palette)
    _draw_infeasible(axis, view, (cost, error), x_scale, palette)
    if cost and _spans_decades(view, cost):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(_axis_label(cost, x_scale), parse_math=False)
    axis.set_ylabel(_axis_label(error, y_scale), parse_math=False)
    _dress(axis, palette)


def _draw_points(
    axis: Any, points: list[Entry], names: tuple[str, str], scales: tuple[Scale, Scale], style: dict[str, Any]
) -> None:
    """Draw entries with one error bar an axis where their estimates have intervals; grey ones without."""
    coordinates = [_xy(entry, *names) for entry in points]
    xs = [x * scales[0].factor for x, _ in coordinates]
    ys = [y * scales[1].factor for _, y in coordinates]
    with_bars = points[0].status == "front"
    axis.errorbar(
        xs,
        ys,
        xerr=_error_bars(points, names[0], scales[0]) if with_bars else None,
        yerr=_error_bars(points, names[1], scales[1]) if with_bars else None,
        linestyle="none",
        elinewidth=1,
        capsize=2.5,
        **style,
    )


def _error_bars(points: list[Entry], name: str, scale: Scale) -> list[list[float]] | None:
    """Distances below and above each value, zero where an estimate has no interval; None when none has."""
    below, above = [], []
    for entry in points:
        estimate = entry.estimate(name)
        if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
            below.append(0.0)
            above.append(0.0)
        else:
            below.append((estimate.value - estimate.low) * scale.factor)
            above.append((estimate.high - estimate.value) * scale.factor)
    return [below, above] if any(below) or any(above) else None


def _draw_staircase(
    axis: Any,
    points: list[tuple[float, float]],
    signs: tuple[float, ...],
    scales: tuple[Scale, Scale],
    palette: Palette,
) -> None:
    """The border of what the front dominates; of three objectives each panel shows the projection.

    ``signs`` are those that turn x and y into values to minimize.
    """
    x_sign, y_sign = signs
    border: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (x_sign * point[0], y_sign * point[1])):
        if not border or y_sign * y < y_sign * border[-1][1]:
            border.append((x, y))
    axis.step(
        [x * scales[0].factor for x, _ in border],
        [y * scales[1].factor for _, y in border],
        where="post",
        color=palette.front,
        linewidth=1,
        alpha=0.6,
        zorder=3,
    )


def _draw_infeasible(axis: Any, view: RunView, names: tuple[str, str], x_scale: Scale, palette: Palette) -> None:
    infeasible = [entry for entry in view.entries if entry.status == "infeasible"]
    xs = [x * x_scale.factor for entry in infeasible if (x := _coordinate(entry, names[0])) is not None]
    if xs:
        axis.plot(
            xs,
            [0.02] * len(xs),
            linestyle="none",
            marker="|",
            markersize=9,
            color=palette.infeasible,
            transform=axis.get_xaxis_transform(),
            label=f"infeasible ({len(xs)}), at their cost",
            zorder=1,
        )


def _dress(axis: Any, palette: Palette) -> None:
    axis.set_facecolor(palette.background)
    axis.grid(color=palette.grid, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=palette.text)
    for side, spine in axis.spines.items():
        spine.set_color(palette.grid)
        spine.set_visible(side in ("left", "bottom"))
    axis.xaxis.label.set_color(palette.text)
    axis.yaxis.label.set_color(palette.text)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, labelcolor=palette.text, fontsize="small")
    else:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.text(0.5, 0.5, "no trial to draw yet", transform=axis.transAxes, ha="center", color=palette.text)


def _points(view: RunView, status: Status, cost: str, error: str) -> list[Entry]:
    entries = view.front if status == "front" else [entry for entry in view.entries if entry.status == status]
    return [entry for entry in entries if None not in (_coordinate(entry, cost), _coordinate(entry, error))]


def _by_clock(points: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """Points by clock, each with what a legend says of it; nothing where all have the same."""
    clocks = sorted({entry.trial.key.clock_mhz or 0.0 for entry in points})
    if len(clocks) < 2:
        return [("", points)]
    return [(f" at {clock:g} MHz", [e for e in points if e.trial.key.clock_mhz == clock]) for clock in clocks]


def _coordinate(entry: Entry, name: str) -> float | None:
    """The metric; without a name the number of the trial."""
    return entry.value(name) if name else float(entry.number)


def _xy(entry: Entry, cost: str, error: str) -> tuple[float, float]:
    x, y = _coordinate(entry, cost), _coordinate(entry, error)
    return (float("nan") if x is None else x, float("nan") if y is None else y)


def _scale(view: RunView, name: str) -> Scale:
    """The unit that suits what is drawn with both coordinates, else whatever has this one."""
    drawn = [entry for entry in view.entries if entry.status in ("front", "dominated")] or view.entries
    return scale_for(name, [value for entry in drawn if (value := _coordinate(entry, name)) is not None])


def _spans_decades(view: RunView, name: str) -> bool:
    """Whether a few expensive candidates would press all others against the axis."""
    values = [value for entry in view.entries if (value := entry.value(name)) is not None]
    return bool(values) and min(values) > 0 and max(values) / min(values) > 30


def _axis_label(name: str, scale: Scale) -> str:
    if not name:
        return "trial"
    return title_of(name) + (f" ({scale.unit})" if scale.unit else "")
