"""Initial weights, static proxies, and what the core installation can do without torch and TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crest.errors import ModelError
from crest.models.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalPool,
    GraphBuilder,
    Input,
    LayerGraph,
    Reshape,
)
from crest.models.proxies import static_proxies
from crest.models.weights import check_weights, initial_weights, parameter_count, weight_shapes


def counted_graph() -> LayerGraph:
    """Small enough to count by hand."""
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(4, 4, 2)))
    x = builder.add("conv", Conv2D(filters=3, kernel=(3, 3), padding=(1, 1, 1, 1), use_bias=False), x)
    x = builder.add("norm", BatchNorm(), x)
    stem = builder.add("relu", Activation(), x)
    x = builder.add("depthwise", DepthwiseConv2D(kernel=(1, 1), depth_multiplier=1), stem)
    x = builder.add("drop", Dropout(rate=0.5), x)
    x = builder.add("sum_relu", Activation(), builder.add("sum", Add(), stem, x))
    x = builder.add("pool", GlobalPool(function="avg"), x)
    x = builder.add("flat", Reshape(shape=(3,)), x)
    return builder.build((builder.add("head", Dense(units=5), x),))


def test_parameters_and_macs_by_hand() -> None:
    proxies = static_proxies(counted_graph(), "float32")
    # kernel 3*3*2*3, gamma and beta, depthwise kernel and bias, dense 3*5 and bias
    assert proxies.parameters == parameter_count(counted_graph()) == 54 + 6 + 3 + 3 + 15 + 5
    assert proxies.macs == 16 * 54 + 16 * 3 + 15
    assert proxies.flops == 2 * proxies.macs


def test_memory_traffic_by_hand() -> None:
    window, image = 32, 48
    # As it ships: conv+norm+relu, depthwise, add+relu, pool, dense; the folded norm leaves a bias.
    fused = (window + image) + 2 * image + 3 * image + (image + 3) + (3 + 5) + (54 + 3) + (3 + 3) + (15 + 5)
    # Every node: conv, norm, relu, depthwise, dropout, sum, relu, pool, reshape, dense; norm with four tensors.
    unfused = (window + image) + 2 * image * 4 + 3 * image + 2 * image + (image + 3) + 6 + (3 + 5)
    unfused += 54 + 4 * 3 + (3 + 3) + (15 + 5)
    proxies = static_proxies(counted_graph(), "int8")
    assert proxies.memory_traffic_bytes == fused
    assert proxies.memory_traffic_unfused_bytes == unfused
    mixed = static_proxies(counted_graph(), "int16x8")
    weights, unfused_weights = (54 + 3) + (3 + 3) + (15 + 5), 54 + 4 * 3 + (3 + 3) + (15 + 5)
    assert mixed.memory_traffic_bytes == 2 * fused - weights
    assert mixed.memory_traffic_unfused_bytes == 2 * unfused - unfused_weights
    wide = static_proxies(counted_graph(), "float32")
    assert (wide.memory_traffic_bytes, wide.memory_traffic_unfused_bytes) == (4 * fused, 4 * unfused)
    assert wide.metrics()["memory_traffic_bytes"] == 4.0 * fused


def test_a_layer_read_twice_cannot_be_overwritten() -> None:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(1, 6, 2)))
    x = builder.add("conv", Conv2D(filters=2, kernel=(1, 1)), x)
    y = builder.add("relu", Activation(), x)
    graph = builder.build((builder.add("sum", Add(), x, y),))
    # conv 24, relu of its own 24, add 36, weights 6
    assert static_proxies(graph, "int8").memory_traffic_bytes == 24 + 24 + 36 + 6


def test_weights_depend_on_the_seed_alone() -> None:
    graph = counted_graph()
    first, again, other = (initial_weights(graph, seed) for seed in (1, 1, 2))
    assert {name: value.shape for name, value in first.items()} == weight_shapes(graph)
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in first.values())
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[n], other[n]) for n in first if not n.endswith("bias"))


def test_initial_scale_is_he_and_folding_is_not_identity() -> None:
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(1, 30, 16)))
    x = builder.add("conv", Conv2D(filters=64, kernel=(1, 9)), x)
    x = builder.add("norm", BatchNorm(), x)
    x = builder.add("depthwise", DepthwiseConv2D(kernel=(1, 15), depth_multiplier=8), x)
    weights = initial_weights(builder.build((x,)), 0)
    assert weights["conv.kernel"].std() == pytest.approx(np.sqrt(2 / (9 * 16)), rel=0.03)
    assert weights["depthwise.kernel"].std() == pytest.approx(0.01 * np.sqrt(2 / 15), rel=0.05)  # an output layer
    multiplier = weights["norm.gamma"] / np.sqrt(weights["norm.variance"] + 1e-3)
    offset = weights["norm.beta"] - weights["norm.mean"] * multiplier
    assert (weights["norm.variance"] > 0).all()
    assert multiplier.std() > 0.05 and np.abs(offset).min() > 0 and len(set(multiplier)) == 64


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"head.bias": None}, "'head.bias' is missing"),
        ({"tail.bias": np.zeros(3)}, "'tail.bias' belongs to no layer"),
        ({"head.bias": np.zeros(4)}, "shape"),
        ({"head.bias": np.full(5, np.nan)}, "not finite"),
    ],
)
def test_weights_of_another_graph(change: dict, fragment: str) -> None:
    graph = counted_graph()
    weights = {name: value for name, value in (initial_weights(graph, 0) | change).items() if value is not None}
    with pytest.raises(ModelError, match=fragment):
        check_weights(graph, weights)


CORE_ONLY = """
import sys
sys.modules["torch"] = sys.modules["tensorflow"] = None
import crest.models.conversion, crest.models.proxies
from crest.errors import MissingExtraError
from crest.models.family import load_family
from crest.models.weights import initial_weights
from crest.workloads.base import Head
family = load_family("tcn")
candidate = {"nb_filters": 4, "kernel_size": 3, "dropout": 0.1, "use_skip_connections": True, "batch_norm": True,
             "dilations": (1, 2, 4)}
initial_weights(family.build(candidate, (50, 3), (Head("x", 1, "mse"),)), 0)
import importlib
for attempt in (lambda: importlib.import_module("crest.models.training"),
                lambda: importlib.import_module("crest.models.torch_net"), crest.models.conversion.Converter):
    try:
        attempt()
    except MissingExtraError as exc:
        assert "crest[search]" in exc.hint
        print("missing")
"""


def test_core_installation_needs_neither_torch_nor_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CORE_ONLY], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["missing"] * 3
