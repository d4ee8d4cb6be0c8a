"""Finds which positions of every tensor reach an output; channels, the last axis, are always all of them."""

from __future__ import annotations

from crest.compiler.graph import Graph, Operator
from crest.compiler.passes.axes import matching_axes
from crest.compiler.passes.kinds import POOLS, RESHAPES, SLICES, WINDOWED, is_elementwise
from crest.compiler.passes.steps import Steps, Window

Grid = tuple[Steps, ...]
"""Positions by axis."""


def whole(shape: tuple[int, ...]) -> Grid:
    """Every position."""
    return tuple(map(Steps.all_of, shape))


def same_positions(left: Grid, right: Grid) -> bool:
    """Whether two grids meet the same positions."""
    return all(a.same_positions(b) for a, b in zip(left, right, strict=True))


def held_positions(graph: Graph) -> dict[int, Grid]:
    """By activation tensor, the positions that it must hold; all of them where its operator cannot leave any out."""
    held = _demand(graph)
    for op in graph.operators:
        out = graph.tensors[op.outputs[0]].shape
        axes = _inner_axes(out, graph.tensors[op.inputs[0]].shape) if op.kind in RESHAPES else None
        if axes is not None:
            # It costs nothing to pass on more than is needed, and its readers may be able to skip the rest.
            held[op.outputs[0]] = _placed(held[op.inputs[0]], axes, out)
    return held


def _demand(graph: Graph) -> dict[int, Grid]:
    wanted: dict[int, Grid] = {index: whole(graph.tensors[index].shape) for index in (*graph.inputs, *graph.outputs)}
    for op in reversed(graph.operators):
        out = op.outputs[0]
        needs = needed_inputs(graph, op, wanted[out]) if out in wanted else None
        if needs is None:
            wanted |= {index: whole(graph.tensors[index].shape) for index in op.outputs}
            needs = needed_inputs(graph, op, wanted[out])
        for index in graph.activations(op):
            need = whole(graph.tensors[index].shape) if needs is None else needs
            joined = [a.join(b) for a, b in zip(wanted.get(index, need), need, strict=True)]
            wanted[index] = tuple(joined)
    return wanted


def needed_inputs(graph: Graph, op: Operator, out: Grid) -> Grid | None:
    """The positions of each activation input that some positions of the output are made of.

    None where an operator is not known to leave positions out.
    """
    shape = graph.tensors[op.inputs[0]].shape
    if op.kind in WINDOWED:
        return _window_needs(graph, op, out)
    if is_elementwise(graph, op):
        return out
    if op.kind in RESHAPES:
        axes = _inner_axes(shape, graph.tensors[op.outputs[0]].shape)
        return None if axes is None else _placed(out, axes, shape)
    if op.kind in SLICES:
        return _slice_needs(graph, op, out)
    return None


def _placed(grid: Grid, axes: list[tuple[int, int]], shape: tuple[int, ...]) -> Grid:
    """A grid over the axes of ``shape``; ``axes`` are pairs of such an axis and that of ``grid``."""
    result = list(whole(shape))
    for to, axis in axes:
        result[to] = grid[axis]
    return tuple(result)


def _inner_axes(left: tuple[int, ...], right: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """Matching axes, where the last axis of one is not within the other: it may not be thinned out."""
    axes = matching_axes(left, right)
    last = len(left) - 1, len(right) - 1
    if axes is None or any((a == last[0]) != (b == last[1]) for a, b in axes):
        return None
    return axes


def windows(graph: Graph, op: Operator) -> tuple[Window, Window]:
    """The windows of a convolution or a pool along height and width."""
    shape = graph.tensors[op.inputs[0]].shape
    kernel = op.attributes["kernel"] if op.kind in POOLS else graph.tensors[op.inputs[1]].shape[1:3]
    strides, dilation, padding = (op.attributes[key] for key in ("strides", "dilation", "padding"))
    height, width = (
        Window(shape[1 + i], kernel[i], strides[i], dilation[i], padding[2 * i]) for i in range(2)
    )  # fmt: skip
    return height, width


def _window_needs(graph: Graph, op: Operator, out: Grid) -> Grid | None:
    shape = graph.tensors[op.inputs[0]].shape
    steps = []
    for window, positions in zip(windows(graph, op), out[1:3], strict=True):
        taps = window.useful_taps(positions)
        if taps is None:
            return None
        steps.append(window.reach(positions, *taps))
    return (Steps.all_of(shape[0]), *steps, Steps.all_of(shape[3]))


def _slice_needs(graph: Graph, op: Operator, out: Grid) -> Grid | None:
    source = graph.tensors[op.inputs[0]].shape
    axes = _inner_axes(op.attributes["count"], graph.tensors[op.outputs[0]].shape)
    if axes is None:
        return None
    chosen = _placed(out, axes, op.attributes["count"])
    begins, strides = op.attributes["begin"], op.attributes["strides"]
    needs = [
        Steps(begin + stride * steps.begin, steps.count, stride * steps.stride if steps.count > 1 else 0)
        for begin, stride, steps in zip(begins, strides, chosen, strict=True)
    ]  # fmt: skip
    return (*needs[:-1], Steps.all_of(source[-1]))
