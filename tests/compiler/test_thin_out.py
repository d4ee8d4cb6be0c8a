"""Only positions that reach an output are computed, and the outputs are those of TFLM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.importer import import_tflite
from crest.compiler.passes.steps import Steps, Window
from tests.compiler.lowerings import after, check_lowerings, macs
from tests.kernel_cases import seeds
from tests.model_writer import ModelWriter
from tests.models_small import full_length_tcn, residual_model

steps_along = st.builds(Steps, st.integers(0, 6), st.integers(1, 6), st.integers(1, 4)).map(
    lambda s: Steps(s.begin, s.count, s.stride if s.count > 1 else 0)
)


def positions(steps):
    return set(range(steps.begin, steps.last + 1, steps.stride or 1))


@given(steps_along, steps_along)
def test_joined_steps_meet_the_positions_of_both(left, right):
    joined = left.join(right)
    assert positions(left) | positions(right) <= positions(joined)
    assert joined.begin in positions(left) | positions(right) and joined.last in positions(left) | positions(right)
    for one in (left, right):
        assert all(joined.begin + joined.index(p) * joined.stride == p for p in positions(one))


@given(st.data())
def test_a_window_reaches_every_tap_within_its_input(data):
    draw = data.draw
    window = Window(draw(st.integers(1, 20)), draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4)),
                    draw(st.integers(0, 9)))  # fmt: skip
    out = draw(steps_along)

    def met(taps):
        starts = [p * window.stride - window.pad for p in positions(out)]
        return {s + k * window.dilation for s in starts for k in taps if 0 <= s + k * window.dilation < window.size}

    taps = window.useful_taps(out)
    if taps is None:
        assert not met(range(window.taps))
        return
    first, last = taps
    assert met(range(first, last + 1)) == met(range(window.taps))
    assert met([first]) and met([last])
    reached = window.reach(out, first, last)
    assert met(range(window.taps)) <= positions(reached)
    assert {reached.begin, reached.last} <= met(range(window.taps)) | positions(reached)
    assert 0 <= reached.begin <= reached.last < window.size


@pytest.mark.parametrize(
    ("options", "full", "left"),
    [
        ({}, 37_450, 9_775),
        ({"skips": True}, 37_450, 9_775),
        ({"steps": 200, "filters": 16, "kernel": 5, "dilations": (1, 2, 4, 8, 16, 32, 64)}, 3_385_632, 562_272),
        ({"steps": 200, "filters": 8, "kernel": 15, "dilations": (1, 4, 32, 256)}, 1_420_816, 179_648),
        ({"steps": 100, "dilations": (1, 3, 4)}, 43_510, 6_415),
    ],
    ids=["small", "skips", "longer than the window", "few reach the window", "distances that do not nest"],
)
def test_a_network_over_time_computes_what_its_last_step_needs(options, full, left):
    model = full_length_tcn(**options)
    graph, removed = after(model)
    assert (macs(import_tflite(model)), macs(graph)) == (full, left)
    assert "PAD" not in graph.histogram()
    assert all("computes" in text for text in removed["thin_out"])
    check_lowerings(model)


def test_the_reduced_network_is_that_of_the_family():
    """Every convolution runs without dilation, on as many positions as the family plans for its own reduced form."""
    tcn = pytest.importorskip("crest.models.tcn")
    dilations = (1, 2, 4, 8, 16)
    graph, _ = after(full_length_tcn(steps=90, kernel=4, dilations=dilations))
    convolutions = [op for op in graph.operators if op.kind == "CONV_2D" and graph.tensors[op.inputs[1]].shape[2] > 1]
    planned = [n for plan in tcn.plan_blocks(90, 4, dilations) for n in (plan.middle, plan.outputs)]
    assert [graph.tensors[op.outputs[0]].shape[2] for op in convolutions] == planned
    assert {op.attributes["dilation"] for op in convolutions} == {(1, 1)}


def test_what_an_operator_computes_is_named():
    _, removed = after(residual_model())
    assert removed["thin_out"] == (
        "operator 0 (CONV_2D): computes [1, 1, 1] of [1, 1, 20] positions",
        "operator 1 (CONV_2D): computes [1, 1, 1] of [1, 1, 20] positions",
        "operator 2 (ADD): computes [1, 1, 1] of [1, 1, 20] positions",
    )


def test_a_network_that_needs_everything_stays_as_it_is():
    writer = ModelWriter(np.random.default_rng(0))
    source = writer.activation((1, 8, 8, 2))
    x = writer.pool(writer.conv(source, 4, (3, 3), stride=(2, 2), same=True), kind="AVERAGE_POOL_2D")
    model = writer.model([source], [writer.dense(x, 3)])
    graph, removed = after(model)
    assert not removed["thin_out"]
    assert macs(graph) == macs(import_tflite(model))


def test_rows_and_columns_that_a_crop_leaves_out_are_not_computed():
    writer = ModelWriter(np.random.default_rng(1))
    source = writer.activation((1, 12, 10, 3))
    x = writer.depthwise(writer.conv(source, 4, (3, 3), same=True), 2)
    x = writer.pool(x, (3, 3), (1, 1), kind="AVERAGE_POOL_2D", same=True)
    model = writer.model([source], [writer.slice(x, (0, 2, 4, 0), (1, 9, 7, 8), (1, 3, 1, 1))])
    graph, _ = after(model)
    assert [graph.tensors[op.outputs[0]].shape for op in graph.operators if "activation" in op.attributes] == [
        (1, 11, 7, 4), (1, 9, 5, 8), (1, 3, 3, 8),
    ]  # fmt: skip
    check_lowerings(model)


def test_a_window_at_the_far_end_keeps_its_padding():
    writer = ModelWriter(np.random.default_rng(2))
    source = writer.activation((1, 1, 12, 4))
    x = writer.conv(source, 3, (1, 2), same=True)
    model = writer.model([source], [writer.slice(x, (0, 0, 7, 0), (1, 1, 12, 3))])
    graph, _ = after(model)
    assert next(op for op in graph.operators if op.kind == "CONV_2D").attributes["padding"] == (0, 0, 0, 1)
    check_lowerings(model)


def test_channels_that_became_positions_are_all_kept():
    writer = ModelWriter(np.random.default_rng(3))
    source = writer.activation((1, 1, 9, 4))
    x = writer.reshape(writer.conv(source, 1), (1, 9))
    x = writer.reshape(writer.relu(x, same_scale=False), (1, 1, 9, 1))
    model = writer.model([source], [writer.slice(x, (0, 0, 2, 0), (1, 1, 5, 1))])
    assert macs(after(model)[0]) == 36
    check_lowerings(model)


@st.composite
def networks(draw):
    """Windows, sums and slices over one or two axes; several slices of the results are the outputs."""
    writer = ModelWriter(np.random.default_rng(draw(seeds)))
    flat = draw(st.booleans())
    rows, columns = (1 if flat else draw(st.integers(2, 9))), draw(st.integers(2, 20))
    source = writer.activation((1, rows, columns, draw(st.integers(1, 3))))
    known = [source]
    for _ in range(draw(st.integers(1, 6))):
        x = draw(st.sampled_from(known[-3:]))
        known.append(draw(operators(writer, x, known)))
    outputs = []
    for x in {known[-1], draw(st.sampled_from(known[1:]))}:
        outputs.append(draw(crop(writer, x)))
    return writer.model([source], outputs)


@st.composite
def operators(draw, writer, x, known):
    """One operator that reads ``x``."""
    rows, columns, channels = writer.shape(x)[1:]
    same = draw(st.booleans())

    def along(size):
        dilation = draw(st.integers(1, 4))
        most = 4 if same else min(4, (size - 1) // dilation + 1)
        return draw(st.integers(1, most)), draw(st.integers(1, 3)), dilation

    (k_h, s_h, d_h), (k_w, s_w, d_w) = along(rows), along(columns)
    window = {"stride": (s_h, s_w), "same": same}
    kind = draw(st.sampled_from(["conv", "causal", "depthwise", "max", "average", "add", "relu", "crop", "reshape"]))
    if kind == "conv":
        return writer.conv(x, draw(st.integers(1, 4)), (k_h, k_w), dilation=(d_h, d_w), **window)
    if kind == "causal":
        padded = writer.pad(x, ((0, 0), (0, 0), ((k_w - 1) * d_w, 0), (0, 0)))
        return writer.conv(padded, channels, (1, k_w), dilation=(1, d_w))
    if kind == "depthwise":
        return writer.depthwise(x, 1, (k_h, k_w), dilation=(d_h, d_w), **window)
    if kind in ("max", "average"):
        same_kind = {"max": "MAX_POOL_2D", "average": "AVERAGE_POOL_2D"}[kind]
        return writer.pool(x, (min(k_h, rows), min(k_w, columns)), (s_h, s_w), same_kind, same)
    if kind == "add":
        return writer.add(x, draw(st.sampled_from([t for t in known if writer.shape(t) == writer.shape(x)])))
    if kind == "relu":
        return writer.relu(x)
    if kind == "crop":
        return draw(crop(writer, x))
    shape = (columns, channels) if rows == 1 else (rows, columns, channels)
    dropped = writer.reshape(x, shape[:-1] if channels == 1 and draw(st.booleans()) else shape)
    return writer.reshape(writer.relu(dropped), writer.shape(x))


@st.composite
def crop(draw, writer, x):
    """A slice with steps."""
    begin, end, strides = [0], [1], [1]
    for size in writer.shape(x)[1:3]:
        first = draw(st.integers(0, size - 1))
        begin.append(first)
        end.append(draw(st.integers(first + 1, size)))
        strides.append(draw(st.integers(1, 3)))
    return writer.slice(x, (*begin, 0), (*end, writer.shape(x)[3]), (*strides, 1))


@settings(max_examples=60, deadline=None)
@given(networks(), seeds)
def test_networks_with_crops_equal_the_oracle_in_every_lowering(model, seed):
    check_lowerings(model, seed, runs=2)


@pytest.mark.parametrize("block", ["scaled", "join", "halves"])
def test_operators_that_the_passes_do_not_know_keep_all_they_have(block):
    """Constant operands, several inputs and several outputs, between dead channels and a crop."""

    def dead(data):
        data[:2] = 0

    writer = ModelWriter(np.random.default_rng(4))
    source = writer.activation((1, 6, 5, 3))
    x = getattr(writer, block)(writer.conv(source, 4, (3, 3), same=True, weights=dead))
    x = writer.add(*x) if block == "halves" else x
    x = writer.conv(writer.slice(x, (0, 2, 0, 0), (1, 4, 5, writer.shape(x)[3])), 3, (1, 3))
    model = writer.model([source], [x])
    check_lowerings(model)
    graph, _ = after(model, "optimized")
    assert graph.tensors[graph.operators[0].outputs[0]].shape == (1, 6, 5, 4)
