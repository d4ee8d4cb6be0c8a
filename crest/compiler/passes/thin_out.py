"""Computes only the positions that reach an output.

A network over time whose last step alone is used needs ever fewer steps towards its end: its dilated convolutions
become convolutions with a stride on the positions that are left. Where readers of a tensor need different positions, it
holds the union, and those that need fewer read through a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crest.compiler.graph import Graph, Operator
from crest.compiler.passes.demand import Grid, held_positions, needed_inputs, same_positions, windows
from crest.compiler.passes.editing import Editor
from crest.compiler.passes.kinds import RESHAPES, SLICES, WINDOWED
from crest.compiler.passes.steps import Steps, Window


def thin_out(graph: Graph) -> tuple[Graph, list[str]]:
    """Leave out positions along the axes before the channels that no output depends on."""
    thinner = _Thinner(graph, held_positions(graph))
    for position, op in enumerate(graph.operators):
        thinner.add(position, op)
    return (thinner.editor.graph(), thinner.removed) if thinner.removed else (graph, [])


class _Thinner:
    def __init__(self, graph: Graph, held: dict[int, Grid]) -> None:
        self.graph = graph
        self.held = held
        self.editor = Editor(graph)
        self.removed: list[str] = []
        self._slices: dict[tuple[int, Grid], int] = {}
        for index, grid in held.items():
            shape = tuple(steps.count for steps in grid)
            self.editor.tensors[index] = replace(graph.tensors[index], shape=shape)

    def add(self, position: int, op: Operator) -> None:
        """Append an operator that computes what its output holds from what its inputs hold."""
        out = self.held[op.outputs[0]]
        needs = needed_inputs(self.graph, op, out)
        if needs is None:
            self.editor.operators.append(op)
            return
        if op.kind in WINDOWED:
            thinned = self._windowed(op, out)
        else:
            thinned = self._sliced(op, needs) if op.kind in SLICES else self._reading(op, needs)
        self.editor.operators.append(thinned)
        computed, full = (t[op.outputs[0]].shape[:-1] for t in (self.editor.tensors, self.graph.tensors))
        if computed != full and op.kind not in (*RESHAPES, *SLICES):
            self.removed.append(f"operator {position} ({op.kind}): computes {list(computed)} of {list(full)} positions")

    def _reading(self, op: Operator, needs: Grid) -> Operator:
        """An operator whose inputs must hold just what it needs."""
        varying = self.graph.activations(op)
        inputs = tuple(self._fetch(index, needs) if index in varying else index for index in op.inputs)
        return replace(op, inputs=inputs)

    def _fetch(self, index: int, needs: Grid) -> int:
        """A tensor that holds just the positions needed: the one there is, or a slice of it."""
        held = self.held[index]
        if same_positions(held, needs):
            return index
        if (index, needs) not in self._slices:
            tensor = self.editor.tensors[index]
            shape = tuple(steps.count for steps in needs)
            part = self.editor.add(replace(tensor, name=f"{tensor.name}/part", shape=shape))
            attributes = _slice_attributes(held, needs)
            self.editor.operators.append(Operator("STRIDED_SLICE", (index,), (part,), attributes))
            self._slices[index, needs] = part
        return self._slices[index, needs]

    def _sliced(self, op: Operator, needs: Grid) -> Operator:
        """A slice takes its positions from whatever its input holds."""
        attributes = _slice_attributes(self.held[op.inputs[0]], needs)
        return op.with_attributes(**{key: (*new[:-1], op.attributes[key][-1]) for key, new in attributes.items()})

    def _windowed(self, op: Operator, out: Grid) -> Operator:
        """A convolution or pool from the positions its input holds to those its output holds."""
        held = self.held[op.inputs[0]]
        height, width = (
            _fit(window, out[axis], held[axis]) for axis, window in zip((1, 2), windows(self.graph, op), strict=True)
        )
        source = self._fetch(op.inputs[0], (held[0], height.reads, width.reads, held[3]))
        rows, columns = (slice(fit.taps[0], fit.taps[1] + 1) for fit in (height, width))
        inputs = (source, *op.inputs[1:])
        changes: dict[str, Any] = {
            "strides": (height.stride, width.stride),
            "dilation": (height.dilation, width.dilation),
            "padding": (*height.padding, *width.padding),
        }
        if "kernel" in op.attributes:
            changes["kernel"] = (rows.stop - rows.start, columns.stop - columns.start)
        else:
            filters = self.graph.tensors[op.inputs[1]]
            assert filters.data is not None
            data = filters.data[:, rows, columns]
            if data.shape != filters.shape:
                inputs = (source, self.editor.add(replace(filters, shape=data.shape, data=data)), *op.inputs[2:])
        return replace(op, inputs=inputs).with_attributes(**changes)


@dataclass(frozen=True)
class _Fit:
    """A window along one axis, counted in the positions that its input holds.

    Attributes:
        reads: positions of the input from the first that a tap meets.
        taps: first and last tap that meet the input at all.
    """

    reads: Steps
    taps: tuple[int, int]
    stride: int
    dilation: int
    padding: tuple[int, int]


def _fit(window: Window, out: Steps, held: Steps) -> _Fit:
    taps = window.useful_taps(out)
    assert taps is not None
    first, last = taps
    start = held.index(out.begin * window.stride - window.pad + first * window.dilation)
    unit = held.stride or 1
    stride = out.stride * window.stride // unit if out.count > 1 else 1
    dilation = window.dilation // unit if last > first else 1
    end = start + (out.count - 1) * stride + (last - first) * dilation
    reads = held
    if start > 0:
        reads = Steps(held.begin + start * unit, min(held.count, end + 1) - start, held.stride)
    return _Fit(reads, taps, stride, dilation, (max(-start, 0), max(end - held.count + 1, 0)))


def _slice_attributes(held: Grid, needs: Grid) -> dict[str, tuple[int, ...]]:
    """The STRIDED_SLICE that takes the positions needed from those that are held."""
    begin = tuple(have.index(need.begin) for have, need in zip(held, needs, strict=True))
    strides = tuple(
        need.stride // (have.stride or 1) if need.count > 1 else 1 for have, need in zip(held, needs, strict=True)
    )
    return {"begin": begin, "count": tuple(need.count for need in needs), "strides": strides}
