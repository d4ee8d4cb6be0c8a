"""Passes keep the outputs and say what they removed; plans never let living tensors overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.compiler.memory import plan_arena
from crest.compiler.passes import run_passes
from crest.compiler.passes.fold_pads import fold_pads
from tests.models_small import residual_model


def test_passes_say_what_they_removed():
    graph, records = run_passes(import_tflite(residual_model()))
    removed = {record.name: record.removed for record in records}
    assert [text.split(":")[0] for text in removed["fold_pads"]] == ["operator 0 (PAD)"]
    assert len(removed["make_views"]) == 4
    assert graph.histogram() == {"CONV_2D": 2, "ADD": 1, "VIEW": 4, "FULLY_CONNECTED": 1}


def test_a_folded_pad_is_padding_of_the_convolution():
    graph, _ = fold_pads(import_tflite(residual_model()))
    conv = next(op for op in graph.operators if op.kind == "CONV_2D")
    assert conv.attributes["padding"] == (0, 0, 2, 0)


def test_network_with_pads_and_views_equals_the_oracle():
    tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime
    model = residual_model()
    lowered = lower_graph(import_tflite(model))
    oracle = tflm.Interpreter.from_bytes(model)
    rng = np.random.default_rng(1)
    with HostModel(lowered.graph, lowered.sources) as host:
        for _ in range(50):
            x = rng.integers(-128, 128, (1, 1, 20, 6), dtype=np.int8)
            oracle.set_input(x, 0)
            oracle.invoke()
            assert host.run_bytes(x.tobytes()) == oracle.get_output(0).tobytes()


def test_a_pad_that_is_read_twice_stays():
    graph = import_tflite(residual_model())
    twice = replace(graph, outputs=(*graph.outputs, graph.operators[0].outputs[0]))
    _, records = run_passes(twice)
    assert not next(record for record in records if record.name == "fold_pads").removed


def test_dead_operators_go():
    graph = import_tflite(residual_model())
    shortened = replace(graph, outputs=(graph.operators[1].outputs[0],))
    reduced, records = run_passes(shortened)
    assert reduced.histogram() == {"CONV_2D": 1}
    assert len(records[0].removed) == 5


def _chain(draw: st.DrawFn) -> Graph:
    """A random graph of ADDs and slices over tensors of random sizes."""
    quantization = Quantization((0.1,), (0,))
    tensors = [Tensor("x", (1, 1, draw(st.integers(1, 30)), 4), "int8", quantization)]
    ops: list[Operator] = []
    for number in range(draw(st.integers(1, 9))):
        source = draw(st.integers(0, len(tensors) - 1))
        others = [i for i, t in enumerate(tensors) if t.shape == tensors[source].shape]
        if draw(st.booleans()):
            tensors.append(Tensor(f"t{number}", tensors[source].shape, "int8", quantization))
            ops.append(Operator("ADD", (source, draw(st.sampled_from(others))), (len(tensors) - 1,)))
        else:
            shape = (1, 1, draw(st.integers(1, 30)), 4)
            tensors.append(Tensor(f"t{number}", shape, "int8", quantization))
            ops.append(Operator("PAD", (source,), (len(tensors) - 1,)))
    return Graph("random", tuple(tensors), tuple(ops), (0,), (len(tensors) - 1,))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_plans_are_sound(data):
    graph = _chain(data.draw)
    scratch = {p: data.draw(st.integers(1, 50)) for p in range(len(graph.operators)) if data.draw(st.booleans())}
    plan = plan_arena(graph, scratch)
    for i, a in enumerate(plan.buffers):
        for b in plan.buffers[i + 1 :]:
            apart = a.offset_bytes + a.size_bytes <= b.offset_bytes or b.offset_bytes + b.size_bytes <= a.offset_bytes
            assert apart or not a.overlaps_in_time(b)
    assert plan.lower_bound_bytes <= plan.size_bytes
    _execute(graph, plan, scratch)


def _execute(graph, plan, scratch):
    """Move the arena's bytes through time: whatever an operator or the application reads must still be there."""
    arena = np.full(plan.size_bytes, -1)

    def place(index):
        at = plan.tensor_offsets_bytes[index]
        return slice(at, at + graph.tensors[index].size_bytes)

    for index in graph.inputs:
        arena[place(index)] = index
    for position, op in enumerate(graph.operators):
        if position in scratch:
            at = plan.scratch_offsets_bytes[position]
            arena[at : at + scratch[position]] = -2
        for index in op.inputs:
            assert (arena[place(index)] == index).all(), f"operator {position} reads tensor {index} too late"
        arena[place(op.outputs[0])] = op.outputs[0]
    for index in graph.outputs:
        assert (arena[place(index)] == index).all()


def test_an_in_place_write_never_hits_what_is_read_again():
    """The sum is written over neither operand while another operator still wants it."""
    quantization = Quantization((0.1,), (0,))
    tensors = tuple(Tensor(name, (1, 1, 8, 4), "int8", quantization) for name in "xabcd")
    ops = (
        Operator("PAD", (0,), (1,)),
        Operator("ADD", (0, 1), (2,)),
        Operator("ADD", (2, 1), (3,)),
        Operator("ADD", (3, 2), (4,)),
    )
    graph = Graph("again", tensors, ops, (0,), (4,))
    plan = plan_arena(graph, {})
    _execute(graph, plan, {})
    assert plan.size_bytes == 2 * 32, "every sum is written over the operand that nobody wants again"
