"""Channels without weights and channels without readers go; what is computed stays the same, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.importer import import_tflite
from crest.compiler.passes import run_passes
from crest.compiler.passes.constant_channels import VARIES, constant_channels
from crest.compiler.passes.drop_channels import drop_channels
from tests.kernel_cases import check, seeds
from tests.model_writer import ModelWriter


def zero_units(*units):
    """Filters [units, ...] without weights for some units."""

    def change(data):
        data[list(units)] = 0

    return change


def dead_channels(rng, share, axis):
    """Some output channels lose their weights, and some input channels their readers."""

    def change(data):
        moved = np.moveaxis(data, axis, 0)
        moved[rng.random(len(moved)) < share] = 0
        if axis == 0:
            data[..., rng.random(data.shape[-1]) < share / 4] = 0

    return change


BLOCKS = ("depthwise", "skip", "pool", "slice", "relu", "pad")


@st.composite
def networks(draw):
    """Convolutions with many dead channels; what lies between two of them passes channels on."""
    writer = ModelWriter(np.random.default_rng(draw(seeds)))
    x = source = writer.activation((1, draw(st.integers(3, 6)), draw(st.integers(3, 6)), draw(st.integers(1, 4))))
    for _ in range(draw(st.integers(1, 3))):
        x = convolution(draw, writer, x, draw(st.integers(2, 8)))
        for _ in range(draw(st.integers(0, 2))):
            x = passes_channels(draw, writer, x, draw(st.sampled_from(BLOCKS)))
    head = draw(st.sampled_from(["conv", "dense", "mean", "flat"]))
    if head == "conv":
        return writer.model([source], [convolution(draw, writer, x, 3)])
    if head == "mean":
        x = writer.mean(x)
    elif head == "flat":
        x = writer.reshape(x, (1, int(np.prod(writer.shape(x)))))
    return writer.model([source], [writer.dense(x, 3)])


def convolution(draw, writer, x, units):
    share, kernel = draw(st.sampled_from([0.2, 0.5, 0.9, 1.0])), draw(st.sampled_from([(1, 1), (3, 3)]))
    activation = draw(st.sampled_from(["none", "relu", "relu6"]))
    return writer.conv(x, units, kernel, same=True, activation=activation, weights=dead_channels(writer.rng, share, 0))


def passes_channels(draw, writer, x, block):
    rows, columns = writer.shape(x)[1:3]
    activation = draw(st.sampled_from(["none", "relu"]))
    if block == "depthwise":
        same, multiplier = draw(st.booleans()) or min(rows, columns) < 3, draw(st.sampled_from([1, 2]))
        weights = dead_channels(writer.rng, draw(st.sampled_from([0.0, 0.4])), 3)
        return writer.depthwise(x, multiplier, same=same, activation=activation, weights=weights)
    if block == "skip":
        return writer.add(x, convolution(draw, writer, x, writer.shape(x)[3]), activation)
    if block == "pool" and min(rows, columns) > 1:
        return writer.pool(x, kind=draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"])))
    if block == "slice":
        return writer.slice(x, (0, 0, 0, 0), (1, 1, *writer.shape(x)[2:]))
    if block == "relu":
        return writer.relu(x, draw(st.booleans()))
    return writer.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0))) if block == "pad" else x


@settings(max_examples=80, deadline=None)
@given(networks(), seeds)
def test_networks_with_dead_channels_equal_the_oracle(model, seed):
    check(model, seed)


def layers(graph):
    return [graph.tensors[op.inputs[1]].shape for op in graph.operators if len(op.inputs) > 2]


def test_constants_move_into_the_next_bias_where_nothing_is_padded():
    writer = ModelWriter(np.random.default_rng(1))
    source = writer.activation((1, 4, 4, 3))
    hidden = writer.conv(source, 6, weights=zero_units(1, 4))
    out = writer.conv(hidden, 2)
    model = writer.model([source], [out])
    graph, removed = drop_channels(import_tflite(model))
    assert layers(graph) == [(4, 1, 1, 3), (2, 1, 1, 4)]
    assert removed == ["operator 0 (CONV_2D): 2 of 6 output channels are constant or never read"]
    check(model, 0)


def test_a_padded_layer_keeps_constants_that_are_not_the_zero_of_its_border():
    writer = ModelWriter(np.random.default_rng(2))
    source = writer.activation((1, 4, 4, 3))
    # Relu turns a negative bias into the zero point; the other constant is what it is.
    hidden = writer.conv(source, 4, activation="relu", weights=zero_units(1, 2))
    bias = writer.tensors[writer.ops[0].inputs[2]].data
    bias[1:3] = -5000, 5000
    out = writer.conv(hidden, 2, (3, 3), same=True)
    model = writer.model([source], [out])
    imported = import_tflite(model)
    constants = constant_channels(imported)[hidden]
    assert constants[1] == imported.tensors[hidden].zero_point != constants[2] != VARIES
    graph, _ = drop_channels(imported)
    assert layers(graph) == [(3, 1, 1, 3), (2, 3, 3, 3)]
    check(model, 0)


def test_constants_pass_depthwise_layers_pools_and_reshapes():
    writer = ModelWriter(np.random.default_rng(3))
    source = writer.activation((1, 4, 4, 2))
    x = writer.conv(source, 6, activation="relu", weights=zero_units(0, 5))
    writer.tensors[writer.ops[0].inputs[2]].data[[0, 5]] = -5000
    x = writer.depthwise(x)
    x = writer.pool(x, kind="AVERAGE_POOL_2D")
    x = writer.reshape(x, (1, 24))
    x = writer.dense(x, 3)
    model = writer.model([source], [x])
    graph, _ = drop_channels(import_tflite(model))
    assert layers(graph) == [(4, 1, 1, 2), (1, 3, 3, 4), (3, 16)]
    check(model, 0)


def test_a_pad_keeps_constant_only_what_it_fills_with():
    writer = ModelWriter(np.random.default_rng(7))
    source = writer.activation((1, 4, 4, 2))
    x = writer.conv(source, 4, activation="relu", weights=zero_units(1, 2))
    writer.tensors[writer.ops[0].inputs[2]].data[1:3] = -5000, 5000
    x = writer.pool(writer.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kind="AVERAGE_POOL_2D")
    x = writer.dense(x, 3)
    model = writer.model([source], [x])
    graph, _ = drop_channels(import_tflite(model))
    assert layers(graph) == [(3, 1, 1, 2), (3, 27)]
    check(model, 0)


def test_one_tap_without_weight_makes_no_constant():
    writer = ModelWriter(np.random.default_rng(8))
    source = writer.activation((1, 4, 4, 3))

    def first_tap(data):
        data[:, 0, 0] = 0

    x = writer.conv(writer.depthwise(source, weights=first_tap), 2)
    model = writer.model([source], [x])
    assert not drop_channels(import_tflite(model))[1]
    check(model, 0)


def test_channels_that_nobody_reads_go():
    writer = ModelWriter(np.random.default_rng(4))
    source = writer.activation((1, 4, 4, 2))
    hidden = writer.depthwise(writer.conv(source, 5))

    def deaf(data):
        data[..., 3] = 0

    out = writer.conv(hidden, 2, weights=deaf)
    model = writer.model([source], [out])
    graph, _ = drop_channels(import_tflite(model))
    assert layers(graph) == [(4, 1, 1, 2), (1, 3, 3, 4), (2, 1, 1, 4)]
    check(model, 0)


def test_a_layer_whose_channels_are_all_constant_keeps_one():
    writer = ModelWriter(np.random.default_rng(5))
    source = writer.activation((1, 4, 4, 2))
    out = writer.conv(writer.conv(source, 5, weights=zero_units(*range(5))), 2)
    model = writer.model([source], [out])
    assert layers(drop_channels(import_tflite(model))[0]) == [(1, 1, 1, 2), (2, 1, 1, 1)]
    check(model, 0)


def test_only_the_optimized_set_looks_at_weights():
    writer = ModelWriter(np.random.default_rng(6))
    source = writer.activation((1, 4, 4, 2))
    out = writer.conv(writer.conv(source, 5, weights=zero_units(0, 1)), 2)
    graph = import_tflite(writer.model([source], [out]))
    assert layers(run_passes(graph, "weight_independent")[0]) == layers(run_passes(graph, "plain")[0]) == layers(graph)
    assert layers(run_passes(graph)[0]) != layers(graph)
