"""Compares every way of lowering a model with TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from crest.compiler.build import lower_graph
from crest.compiler.graph import Graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.compiler.passes import PASS_SETS, run_passes
from tests.kernel_cases import random_input

tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime


def check_lowerings(model: bytes, seed: int = 0, runs: int = 3) -> None:
    """Every set of passes gives the outputs of TFLM, bit for bit."""
    imported = import_tflite(model)
    rng = np.random.default_rng(seed)
    oracle = tflm.Interpreter.from_bytes(model, arena_size=1 << 20)
    inputs, expected = b"", b""
    for run in range(runs):
        parts = [random_input(rng, imported.tensors[index], run) for index in imported.inputs]
        for position, part in enumerate(parts):
            oracle.set_input(part, position)
        oracle.invoke()
        inputs += b"".join(part.tobytes() for part in parts)
        expected += b"".join(oracle.get_output(i).tobytes() for i in range(len(imported.outputs)))
    for passes in PASS_SETS:
        lowered = lower_graph(imported, passes=passes)
        with HostModel(lowered.graph, lowered.sources) as host:
            assert host.run_bytes(inputs) == expected, passes


def macs(graph: Graph) -> int:
    """Multiply-accumulates of a graph."""
    return sum(map(graph.macs, graph.operators))


def after(model: bytes, passes: str = "weight_independent") -> tuple[Graph, dict[str, tuple[str, ...]]]:
    """The graph after a set of passes, and what each removed."""
    graph, records = run_passes(import_tflite(model), passes)
    return graph, {record.name: record.removed for record in records}
