"""Costs summed by type of layer, and their table beside CMSIS-NN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _reference import CMSIS_NN_BY_TYPE
from rich.console import Console
from rich.table import Table

from crest.compiler.graph import Graph
from crest.compiler.program import Program
from crest.emulators.profile import ExecutionProfile
from crest.timing.model import CoreTiming


@dataclass
class Cost:
    """Multiply-accumulates (elements where there are none), executed instructions, cycles."""

    work: float = 0
    instructions: float = 0
    cycles: float = 0

    def add(self, other: Cost) -> None:
        self.work += other.work
        self.instructions += other.instructions
        self.cycles += other.cycles

    def per_mac(self) -> tuple[float, float]:
        """Instructions and cycles."""
        return self.instructions / self.work, self.cycles / self.work


Costs = dict[str, Cost]


def layer_type(graph: Graph, index: int) -> str:
    op = graph.operators[index]
    if op.kind != "CONV_2D":
        return op.kind
    _, k_h, k_w, channels = graph.tensors[op.inputs[1]].shape
    if k_h == k_w == 1:
        if max(op.attributes["strides"]) > 1:
            return "pointwise, stride 2"
        return "pointwise" if channels >= 64 else "pointwise, < 64 channels"
    return {1: "conv, 1 input channel", 3: "conv, 3 input channels"}.get(channels, "conv")


def costs_by_type(program: Program, profile: ExecutionProfile, timing: CoreTiming) -> Costs:
    graph = program.graph
    counts = {layer.index: layer.counts for layer in profile.layers}
    costs: Costs = {}
    for layer in program.layers:
        op = graph.operators[layer.index]
        window = int(np.prod(op.attributes.get("kernel", (1, 1))))
        work = layer.macs or graph.tensors[op.outputs[0]].elements * window
        executed = counts[layer.index]
        cost = Cost(work, executed["instructions"], timing.cycles(executed))
        costs.setdefault(layer_type(graph, layer.index), Cost()).add(cost)
    return costs


def show(core: str, title: str, costs: Costs, gcc: Costs) -> None:
    """Print the table; the ratio is of cycles, or of instructions where CMSIS-NN's cycles are not known."""
    timed = all(cycles is not None for _, cycles in CMSIS_NN_BY_TYPE[core].values())
    table = Table(title=title)
    table.add_column("layer type")
    for name in ("MACs", "instr. per MAC", "GCC", "CMSIS-NN", "cycles per MAC", "GCC", "CMSIS-NN"):
        table.add_column(name, justify="right")
    table.add_column("ratio of cycles" if timed else "ratio of instr.", justify="right")
    for kind, cost in costs.items():
        theirs = CMSIS_NN_BY_TYPE[core].get(kind, (None, None))
        other = gcc[kind].per_mac() if kind in gcc else (None, None)
        columns = [value for three in zip(cost.per_mac(), other, theirs, strict=True) for value in three]
        reference = theirs[timed]
        ratio = None if reference is None else cost.per_mac()[timed] / reference
        table.add_row(kind, f"{cost.work:,.0f}", *map(_number, (*columns, ratio)))
    Console(width=140).print(table)


def add(costs: Costs, more: Costs) -> None:
    """Add costs to a pool."""
    for kind, cost in more.items():
        costs.setdefault(kind, Cost()).add(cost)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
