"""Offsets, orders and in-place writes, against brute force and by execution."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.compiler.kernel_call import KernelCall
from crest.compiler.memory import plan_arena
from crest.compiler.offsets import Block, Overlap, aligned, lower_bound_bytes, place
from crest.compiler.ordering import best_order, reorder
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

QUANTIZATION = Quantization((0.1,), (0,))


@st.composite
def blocks(draw, most):
    return [
        Block(draw(st.integers(1, 40)), first, first + draw(st.integers(0, 4)))
        for first in draw(st.lists(st.integers(0, 6), min_size=1, max_size=most))
    ]


def assert_apart(placed, offsets):
    for i, a in enumerate(placed):
        for j, b in enumerate(placed[:i]):
            apart = offsets[i] + a.size_bytes <= offsets[j] or offsets[j] + b.size_bytes <= offsets[i]
            assert apart or not a.overlaps_in_time(b)
    assert all(offset % 4 == 0 for offset in offsets)


@settings(max_examples=300, deadline=None)
@given(blocks(14))
def test_placements_are_sound_and_the_search_never_loses(case):
    greedy, searched = place(case, search_nodes=0), place(case)
    for placement in (greedy, searched):
        assert_apart(case, placement.offsets_bytes)
        tops = [at + aligned(b.size_bytes) for b, at in zip(case, placement.offsets_bytes, strict=True)]
        assert placement.size_bytes == max(tops) >= lower_bound_bytes(case)
    assert searched.size_bytes <= greedy.size_bytes
    assert place(case) == searched


def smallest(case):
    """The smallest span over all orders of placing blocks first-fit, which some optimal placement is the result of."""
    best = None
    for order in permutations(case):
        placed: list[tuple[int, Block]] = []
        for block in order:
            at = 0
            for start, other in sorted(((s, b) for s, b in placed if b.overlaps_in_time(block)), key=lambda p: p[0]):
                if at + block.aligned_bytes <= start:
                    break
                at = max(at, start + other.aligned_bytes)
            placed.append((at, block))
        span = max(at + b.aligned_bytes for at, b in placed)
        best = span if best is None else min(best, span)
    return best


@settings(max_examples=150, deadline=None)
@given(blocks(6))
def test_small_placements_are_as_small_as_brute_force_finds_them(case):
    placement = place(case)
    assert placement.optimal
    assert placement.size_bytes == smallest(case)


@st.composite
def overlapping(draw):
    """Few small blocks, and pairs of them that may share memory."""
    case = [
        Block(4 * draw(st.integers(1, 4)), first, first + draw(st.integers(0, 2)))
        for first in draw(st.lists(st.integers(0, 3), min_size=2, max_size=4))
    ]
    pairs = [(i, j) for i, a in enumerate(case) for j, b in enumerate(case) if i != j and a.first == b.last > b.first]
    overlaps = []
    for i, j in pairs:
        if draw(st.booleans()) and all(o.written != i and o.read != j for o in overlaps):
            overlaps.append(Overlap(i, j, draw(st.integers(1, 12))))
    return case, overlaps


def fits(case, overlaps, offsets):
    lags = {(o.written, o.read): o.lag_bytes for o in overlaps}
    return all(
        not a.overlaps_in_time(b)
        or offsets[i] + a.size_bytes <= offsets[j]
        or offsets[j] + b.size_bytes <= offsets[i]
        or ((i, j) in lags and offsets[i] + lags[i, j] <= offsets[j])
        or ((j, i) in lags and offsets[j] + lags[j, i] <= offsets[i])
        for i, a in enumerate(case)
        for j, b in enumerate(case[:i])
    )


@settings(max_examples=60, deadline=None)
@given(overlapping())
def test_overlaps_are_used_as_far_as_they_help_and_no_further(sample):
    case, overlaps = sample
    placement = place(case, overlaps)
    assert fits(case, overlaps, placement.offsets_bytes)
    room = sum(b.size_bytes for b in case)
    smallest_of_all = min(
        max(at + b.size_bytes for at, b in zip(offsets, case, strict=True))
        for offsets in product(*(range(0, room - b.size_bytes + 1, 4) for b in case))
        if fits(case, overlaps, offsets)
    )
    assert lower_bound_bytes(case, overlaps) <= smallest_of_all == placement.size_bytes
    assert placement.optimal


def test_the_lags_of_a_chain_add_up():
    """Ten results, each of which may start 8 bytes before its operand: cheaper than keeping any two apart."""
    case = [Block(400, k, k + 1) for k in range(10)]
    overlaps = [Overlap(k + 1, k, 8) for k in range(9)]
    placement = place(case, overlaps)
    assert placement.size_bytes == lower_bound_bytes(case, overlaps) == 400 + 9 * 8
    assert place(case).size_bytes == 800


def test_the_search_beats_the_greedy_orders_where_they_fail():
    # Found at random: the greedy orders need 30 % more than is alive at once.
    rng = np.random.default_rng(5)
    for _ in range(500):
        first = rng.integers(0, 8, 9)
        case = [
            Block(int(size), int(f), int(f + d))
            for size, f, d in zip(rng.integers(1, 60, 9), first, rng.integers(0, 4, 9), strict=True)
        ]
        greedy, searched = place(case, search_nodes=0), place(case)
        if searched.size_bytes < greedy.size_bytes:
            assert not greedy.optimal
            assert searched.optimal
            return
    pytest.fail("the greedy orders were optimal every time")


def test_the_search_gives_up_and_says_so():
    rng = np.random.default_rng(0)
    sizes, births = rng.integers(1, 999, 40), rng.integers(0, 60, 40)
    case = [Block(int(s), int(f), int(f) + 5 * (k % 4)) for k, (s, f) in enumerate(zip(sizes, births, strict=True))]
    greedy, few, many = (place(case, search_nodes=nodes) for nodes in (0, 3, 5000))
    assert not greedy.optimal
    assert not few.optimal
    assert lower_bound_bytes(case) < many.size_bytes <= few.size_bytes <= greedy.size_bytes
    assert_apart(case, many.offsets_bytes)


KINDS = ("ADD", "MUL", "RELU", "PAD", "VIEW", "WINDOW")


@st.composite
def graphs(draw, most=9):
    """A graph of element-wise operators with broadcast, views, and two kinds that change the size.

    Every element of a PAD wants all of its operand; that of a WINDOW, what is not further back than its reach.
    """
    count = draw(st.integers(1, 2))
    tensors = [Tensor(f"x{i}", (1, 1, draw(st.integers(1, 12)), 4), "int8", QUANTIZATION) for i in range(count)]
    ops: list[Operator] = []
    for number in range(draw(st.integers(1, most))):
        source = draw(st.integers(0, len(tensors) - 1))
        shape = tensors[source].shape
        kind = draw(st.sampled_from(KINDS))
        inputs, attributes = (source,), {}
        if kind in ("ADD", "MUL"):
            fitting = [i for i, t in enumerate(tensors) if t.shape == shape or t.shape[2] == 1]
            inputs = (source, draw(st.sampled_from(fitting)))
            inputs = inputs if draw(st.booleans()) else inputs[::-1]
        elif kind in ("PAD", "WINDOW"):
            shape = (1, 1, draw(st.integers(1, 12)), 4)
            attributes = {"reach": draw(st.integers(0, 3))} if kind == "WINDOW" else {}
        elif kind == "VIEW":
            begin = draw(st.integers(0, shape[2] - 1))
            attributes = {"offset_bytes": 4 * begin}
            shape = (1, 1, draw(st.integers(1, shape[2] - begin)), 4)
        tensors.append(Tensor(f"t{number}", shape, "int8", QUANTIZATION))
        ops.append(Operator(kind, inputs, (len(tensors) - 1,), attributes))
    outputs = draw(st.lists(st.integers(count, len(tensors) - 1), min_size=1, max_size=2, unique=True))
    return Graph("random", tuple(tensors), tuple(ops), tuple(range(count)), tuple(outputs))


def scratches(draw, graph):
    return {
        p: draw(st.integers(1, 50))
        for p, op in enumerate(graph.operators)
        if op.kind != "VIEW" and draw(st.integers(0, 3)) == 0
    }


def lags(graph):
    """How far the result of a WINDOW must start before its operand, counted element by element."""
    found = {}
    for position, op in enumerate(graph.operators):
        if op.kind == "WINDOW":
            length = graph.tensors[op.outputs[0]].elements // 4
            found[position] = max(4 * (k + 1 - max(k - op.attributes["reach"], 0)) for k in range(length))
    return found


def value(op, position_of_output, operands):
    """What an element of a result is, from the elements it is made of: exact, and different for different ways."""
    return hash((op.kind, position_of_output, *operands))


def direct(graph):
    """Every tensor in memory of its own, as lists of values by element (one per 4 bytes)."""
    values = {i: [hash((i, k)) for k in range(graph.tensors[i].elements // 4)] for i in graph.inputs}
    for op in graph.operators:
        out = op.outputs[0]
        sources = [values[i] for i in op.inputs]
        length = graph.tensors[out].elements // 4
        if op.kind == "VIEW":
            begin = op.attributes["offset_bytes"] // 4
            values[out] = sources[0][begin : begin + length]
        else:
            values[out] = [compute(op, out, k, sources) for k in range(length)]
    return {i: values[i] for i in graph.outputs}


def compute(op, out, k, sources):
    if op.kind == "PAD":  # wants everything, until its last element
        return value(op, (out, k), sources[0])
    if op.kind == "WINDOW":
        return value(op, (out, k), sources[0][max(k - op.attributes["reach"], 0) :])
    return value(op, (out, k), [source[k if len(source) > 1 else 0] for source in sources])


def in_arena(graph, plan, scratch):
    """The same in the arena, by the rules that kernels keep.

    Element-wise operators read an element, then write it; a WINDOW may read as long as it writes what it made of it.
    """
    arena = [-1] * (plan.size_bytes // 4)

    def at(index):
        return plan.tensor_offsets_bytes[index] // 4

    for i in graph.inputs:
        for k in range(graph.tensors[i].elements // 4):
            arena[at(i) + k] = hash((i, k))
    for position, op in enumerate(graph.operators):
        if op.kind == "VIEW":
            continue
        if position in scratch:
            start = plan.scratch_offsets_bytes[position] // 4
            for k in range(-(-scratch[position] // 4)):
                arena[start + k] = -2
        out = op.outputs[0]
        for k in range(graph.tensors[out].elements // 4):
            if op.kind == "WINDOW":
                arena[at(out) + k] = -3
            sources = [arena[at(i) : at(i) + graph.tensors[i].elements // 4] for i in op.inputs]
            arena[at(out) + k] = compute(op, out, k, sources)
    return {i: arena[at(i) : at(i) + graph.tensors[i].elements // 4] for i in graph.outputs}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_computed_in_the_arena_is_what_is_computed_without_one(data):
    graph = data.draw(graphs())
    scratch = scratches(data.draw, graph)
    plan = plan_arena(graph, scratch, lags(graph))
    assert plan.lower_bound_bytes <= plan.size_bytes <= plan_arena(graph, scratch).size_bytes
    assert in_arena(graph, plan, scratch) == direct(graph)


def test_the_lag_behind_a_view_counts_from_what_it_is_a_view_of():
    sizes = {"x": 1, "whole": 12, "part": 7, "y": 7}
    tensors = tuple(Tensor(name, (1, 1, size, 4), "int8", QUANTIZATION) for name, size in sizes.items())
    ops = (
        Operator("PAD", (0,), (1,)),
        Operator("VIEW", (1,), (2,), {"offset_bytes": 20}),
        Operator("WINDOW", (2,), (3,), {"reach": 7}),
    )
    graph = Graph("behind", tensors, ops, (0,), (3,))
    assert lags(graph) == {2: 28}
    plan = plan_arena(graph, {}, lags(graph))
    # 28 bytes before the part, which begins 20 bytes behind the beginning of the whole.
    assert plan.size_bytes == 48 + 8
    assert in_arena(graph, plan, {}) == direct(graph)


def calls_for(graph, scratch):
    return tuple(
        None
        if op.kind == "VIEW"
        else KernelCall("kernel", (), scratch_bytes=scratch.get(p, 0), lag_bytes=lags(graph).get(p))
        for p, op in enumerate(graph.operators)
    )


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_reordering_never_raises_the_peak_and_computes_the_same(data):
    graph = data.draw(graphs())
    scratch = scratches(data.draw, graph)
    before = plan_arena(graph, scratch, lags(graph))
    moved, calls, words = reorder(graph, calls_for(graph, scratch))
    scratch_moved = {p: call.scratch_bytes for p, call in enumerate(calls) if call and call.scratch_bytes}
    after = plan_arena(moved, scratch_moved, lags(moved))
    assert after.size_bytes < before.size_bytes if words else moved is graph
    assert sorted(map(id, moved.operators)) == sorted(map(id, graph.operators))
    assert in_arena(moved, after, scratch_moved) == direct(graph)
    assert reorder(graph, calls_for(graph, scratch))[2] == words


def test_large_plans_are_made_without_a_search():
    count = 1500  # deeper than Python's stack
    blocks = [Block(4 * (1 + k % 7), k // 2, k // 2 + k % 5) for k in range(count)]
    assert_apart(blocks[:300], place(blocks).offsets_bytes[:300])
    tensors = tuple(Tensor(f"t{k}", (1, 1, 1 + k % 5, 4), "int8", QUANTIZATION) for k in range(count + 1))
    ops = tuple(Operator("PAD", (k,), (k + 1,)) for k in range(count))
    graph = Graph("long", tensors, ops, (0,), (count,))
    assert best_order(graph, {}, {}) is None
    assert plan_arena(graph, {}).size_bytes == 4 * 4 + 5 * 4


def topological(graph):
    makers = {op.outputs[0]: p for p, op in enumerate(graph.operators)}
    needs = [{makers[i] for i in op.inputs if i in makers} for op in graph.operators]

    def extend(order):
        if len(order) == len(needs):
            yield tuple(order)
        for p, wanted in enumerate(needs):
            if p not in order and wanted <= set(order):
                yield from extend([*order, p])

    return extend([])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_order_found_is_the_best_of_all(data):
    graph = data.draw(graphs(most=6))
    assume(all(graph.consumers(i) for i in graph.inputs))  # the search keeps an input that nobody reads
    scratch = scratches(data.draw, graph)

    def peak(order):
        moved = Graph(graph.name, graph.tensors, tuple(graph.operators[p] for p in order), graph.inputs, graph.outputs)
        placed = {place: scratch[p] for place, p in enumerate(order) if p in scratch}
        return plan_arena(moved, placed, search_nodes=0).lower_bound_bytes

    given_order = tuple(range(len(graph.operators)))
    found = best_order(graph, scratch, {}) or given_order
    assert peak(found) == min(map(peak, topological(graph)))


def branches_model(length=24, wide=32, seed=0):
    """Two branches that each widen and narrow the input, all widening first: the worst order for the arena."""
    rng = np.random.default_rng(seed)
    q = {"scale": [0.05], "zero_point": [2]}

    def conv(out_c, in_c):
        weights = rng.integers(-127, 128, (out_c, 1, 1, in_c), dtype=np.int8)
        bias = rng.integers(-500, 500, out_c).astype(np.int32)
        return (
            TensorSpec(weights.shape, scale=[0.004] * out_c, data=weights),
            TensorSpec((out_c,), "int32", scale=[0.0002] * out_c, data=bias),
        )

    def activation(channels):
        return TensorSpec((1, 1, length, channels), **q)

    tensors = [
        activation(4), *conv(wide, 4), *conv(wide, 4), *conv(4, wide), *conv(4, wide),  # 0, then 1 to 8
        activation(wide), activation(wide), activation(4), activation(4), activation(4),  # 9 to 13
    ]  # fmt: skip
    ops = [
        OpSpec("CONV_2D", [0, 1, 2], [9], version=3),
        OpSpec("CONV_2D", [0, 3, 4], [10], version=3),
        OpSpec("CONV_2D", [9, 5, 6], [11], version=3),
        OpSpec("CONV_2D", [10, 7, 8], [12], version=3),
        OpSpec("ADD", [11, 12], [13], version=2),
    ]
    return write_tflite(tensors, ops, [0], [13])


def test_branches_run_one_after_the_other_and_the_network_equals_the_oracle():
    tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime
    model = branches_model()
    lowered = lower_graph(import_tflite(model))
    # One wide tensor is alive at a time, beside the input and one narrow result; scratch memory comes on top.
    assert 24 * (32 + 4 + 4) <= lowered.arena.size_bytes < 24 * (2 * 32 + 4)
    moved = next(record.removed for record in lowered.removed if record.name == "reorder")
    assert "the arena shrinks from" in moved[-1]
    oracle = tflm.Interpreter.from_bytes(model)
    rng = np.random.default_rng(1)
    with HostModel(lowered.graph, lowered.sources) as host:
        for _ in range(20):
            x = rng.integers(-128, 128, (1, 1, 24, 4), dtype=np.int8)
            oracle.set_input(x, 0)
            oracle.invoke()
            assert host.run_bytes(x.tobytes()) == oracle.get_output(0).tobytes()


def test_an_operand_within_another_is_not_written_over():
    """The factor that every element is multiplied by is itself an element of what would be overwritten."""
    tensors = tuple(
        Tensor(name, shape, "int8", QUANTIZATION)
        for name, shape in (("x", (8, 4)), ("y", (8, 4)), ("f", (1, 4)), ("z", (8, 4)))
    )
    ops = (
        Operator("PAD", (0,), (1,)),
        Operator("VIEW", (1,), (2,), {"offset_bytes": 0}),
        Operator("MUL", (1, 2), (3,)),
    )
    plan = plan_arena(Graph("within", tensors, ops, (0,), (3,)), {})
    assert plan.tensor_offsets_bytes[3] != plan.tensor_offsets_bytes[1]


def test_what_a_broadcast_operand_is_a_part_of_is_not_written_over():
    shapes = {"x": (8, 4), "part": (1, 4), "y": (8, 4), "sum": (8, 4)}
    tensors = tuple(Tensor(name, shape, "int8", QUANTIZATION) for name, shape in shapes.items())
    ops = (
        Operator("VIEW", (0,), (1,), {"offset_bytes": 0}),
        Operator("PAD", (0,), (2,)),
        Operator("ADD", (1, 2), (3,)),
    )
    plan = plan_arena(Graph("part", tensors, ops, (0,), (3,)), {})
    assert plan.tensor_offsets_bytes[3] == plan.tensor_offsets_bytes[2] != plan.tensor_offsets_bytes[1]
