"""Rectifiers that only clamp are folded, operators that copy disappear, and everything else stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.importer import import_tflite
from crest.compiler.passes.drop_identities import drop_identities
from crest.compiler.passes.fuse_activations import fuse_activations
from tests.compiler.lowerings import after, check_lowerings
from tests.kernel_cases import seeds
from tests.model_writer import ModelWriter


def rectified(kind, activation="none", same_scale=True, twice=False):
    """An operator of a kind, a rectifier, and a convolution behind it."""
    writer = ModelWriter(np.random.default_rng(0))
    source = writer.activation((1, 3, 4, 5))
    x = {
        "CONV_2D": lambda: writer.conv(source, 6, activation=activation),
        "DEPTHWISE_CONV_2D": lambda: writer.depthwise(source, activation=activation),
        "ADD": lambda: writer.add(source, source, activation),
        "MAX_POOL_2D": lambda: writer.pool(source),
        "RESHAPE": lambda: writer.reshape(source, (1, 4, 3, 5)),
    }[kind]()
    y = writer.relu(x, same_scale)
    outputs = [writer.conv(y, 2)]
    if twice:
        outputs.append(writer.conv(x, 2))
    return writer.model([source], outputs)


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MAX_POOL_2D"])
def test_a_rectifier_of_the_same_scale_is_folded(kind, activation):
    model = rectified(kind, activation)
    graph, removed = fuse_activations(import_tflite(model))
    assert removed == [f"operator 1 (RELU): folded into operator 0 ({kind})"]
    own = "none" if kind == "MAX_POOL_2D" else activation
    assert graph.operators[0].attributes["activation"] == ("relu" if own == "none" else own)
    check_lowerings(model)


@pytest.mark.parametrize(
    "options",
    [{"kind": "CONV_2D", "same_scale": False}, {"kind": "CONV_2D", "twice": True}, {"kind": "RESHAPE"}],
    ids=["another scale", "read twice", "nothing that clamps"],
)
def test_what_cannot_be_folded_exactly_stays(options):
    model = rectified(**options)
    assert not fuse_activations(import_tflite(model))[1]
    check_lowerings(model)


def test_two_rectifiers_in_a_row_are_folded():
    writer = ModelWriter(np.random.default_rng(1))
    source = writer.activation((1, 3, 4, 5))
    out = writer.relu(writer.relu(writer.conv(source, 3)))
    model = writer.model([source], [out])
    graph, removed = fuse_activations(import_tflite(model))
    assert graph.histogram() == {"CONV_2D": 1} and len(removed) == 2
    check_lowerings(model)


def identities(zero_point=-128):
    writer = ModelWriter(np.random.default_rng(3))
    source = writer.activation((1, 3, 4, 5))
    writer.tensors[source].zero_point = [zero_point]
    x = writer.pool(source, (1, 1), (1, 1))
    x = writer.pad(x, ((0, 0), (0, 0), (0, 0), (0, 0)))
    x = writer.relu(x)
    return writer.model([source], [writer.conv(x, 2)])


def test_operators_that_copy_become_views():
    model = identities()
    graph, removed = drop_identities(import_tflite(model))
    assert graph.histogram() == {"RESHAPE": 3, "CONV_2D": 1}
    assert len(removed) == 3
    check_lowerings(model)


def test_a_rectifier_that_clamps_is_no_copy():
    model = identities(zero_point=-127)
    assert drop_identities(import_tflite(model))[0].histogram()["RELU"] == 1
    check_lowerings(model)


def test_a_pool_that_only_skips_is_a_view_of_a_convolution_with_stride():
    writer = ModelWriter(np.random.default_rng(4))
    source = writer.activation((1, 1, 12, 3))
    out = writer.dense(writer.pool(writer.conv(source, 4, (1, 3)), (1, 1), (1, 2)), 2)
    model = writer.model([source], [out])
    graph, _ = after(model)
    assert graph.histogram() == {"CONV_2D": 1, "VIEW": 1, "FULLY_CONNECTED": 1}
    assert graph.operators[0].attributes["strides"] == (1, 2)
    check_lowerings(model)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["conv", "add", "pool", "relu", "rescale", "reshape"]), min_size=2, max_size=6), seeds)
def test_chains_with_rectifiers_equal_the_oracle(kinds, seed):
    writer = ModelWriter(np.random.default_rng(seed))
    x = source = writer.activation((1, 2, 4, 3))
    for kind in kinds:
        if kind == "conv":
            x = writer.conv(x, 3, activation=writer.rng.choice(["none", "relu", "relu6"]))
        elif kind == "add":
            x = writer.add(x, x)
        elif kind == "pool":
            x = writer.pool(x, (1, 1), (1, 1))
        elif kind == "reshape":
            x = writer.reshape(x, (1, 4, 2, 3) if writer.shape(x)[1] == 2 else (1, 2, 4, 3))
        else:
            x = writer.relu(x, same_scale=kind == "relu")
    check_lowerings(writer.model([source], [x]), seed)
