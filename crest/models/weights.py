"""Weights of a layer graph: names, shapes, seeded initial values, how many there are.

A tensor is named ``<node>.<role>``. Layouts are those of Keras: convolution kernels (height, width, in, out), depthwise
kernels (height, width, in, depth multiplier), dense kernels (in, out), everything else one value per channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.errors import ModelError
from crest.models.layers import BatchNorm, Conv2D, Dense, DepthwiseConv2D, LayerGraph, Shape

Weights = dict[str, NDArray[np.float32]]

# Running statistics of batch normalisation: stored with the weights, but no optimizer touches them.
STATISTICS: Final = frozenset({"mean", "variance"})

# Residual sums grow with depth; small kernels in the output layers keep the first predictions near zero, so that
# training does not spend its first epochs on shrinking them.
_OUTPUT_GAIN: Final = 0.01


def role(name: str) -> str:
    """What a tensor is to its layer: kernel, bias, gamma, beta, mean or variance."""
    return name.rpartition(".")[2]


def weight_shapes(graph: LayerGraph) -> dict[str, Shape]:
    """Shape of every weight tensor, in the order of the graph."""
    shapes: dict[str, Shape] = {}
    for node in graph.nodes:
        if not isinstance(node.layer, Conv2D | DepthwiseConv2D | Dense | BatchNorm):
            continue
        source = graph.shapes[node.inputs[0]]
        result = graph.shapes[node.name]
        if isinstance(node.layer, BatchNorm):
            shapes |= {f"{node.name}.{part}": (source[-1],) for part in ("gamma", "beta", "mean", "variance")}
            continue
        if isinstance(node.layer, Conv2D):
            kernel: Shape = (*node.layer.kernel, source[-1], result[-1])
        elif isinstance(node.layer, DepthwiseConv2D):
            kernel = (*node.layer.kernel, source[-1], node.layer.depth_multiplier)
        else:
            kernel = (source[0], result[0])
        shapes[f"{node.name}.kernel"] = kernel
        if node.layer.use_bias:
            shapes[f"{node.name}.bias"] = (result[-1],)
    return shapes


def parameter_count(graph: LayerGraph) -> int:
    """How many values training adjusts; running statistics are not among them."""
    return sum(math.prod(shape) for name, shape in weight_shapes(graph).items() if role(name) not in STATISTICS)


def initial_weights(graph: LayerGraph, seed: int) -> Weights:
    """Seeded float32 weights, good both as a start for training and to price a graph before it.

    Kernels are He normal, a standard deviation of sqrt(2 / fan in), a hundredth of that in the output layers. Biases
    are zero. Batch normalisation differs in
    every channel, so that folding it changes kernels and biases as trained values would.
    """
    depthwise = {node.name for node in graph.nodes if isinstance(node.layer, DepthwiseConv2D)}
    weights: Weights = {}
    for index, (name, shape) in enumerate(weight_shapes(graph).items()):
        rng = np.random.default_rng([seed, index])
        owner = name.rpartition(".")[0]
        values = _initial(role(name), shape, owner in depthwise, rng)
        weights[name] = (values * (_OUTPUT_GAIN if owner in graph.outputs else 1.0)).astype(np.float32)
    return weights


def _initial(part: str, shape: Shape, depthwise: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    if part == "kernel":
        fan_in = math.prod(shape[:-2] if depthwise else shape[:-1])
        return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)
    if part in ("gamma", "variance"):
        return rng.uniform(0.8, 1.2, shape)
    if part in ("beta", "mean"):
        return rng.normal(0.0, 0.1, shape)
    return np.zeros(shape)


def check_weights(graph: LayerGraph, weights: Mapping[str, NDArray[Any]]) -> None:
    """Make sure that ``weights`` are those of ``graph``.

    Raises:
        ModelError: a tensor is missing, left over, of another shape, or not finite.
    """
    shapes = weight_shapes(graph)
    for name in weights:
        if name not in shapes:
            raise ModelError(f"weights: {name!r} belongs to no layer of the graph")
    for name, shape in shapes.items():
        if name not in weights:
            raise ModelError(f"weights: {name!r} is missing")
        if weights[name].shape != shape:
            raise ModelError(f"weights: {name!r} has shape {weights[name].shape}, the graph wants {shape}")
        if not np.isfinite(weights[name]).all():
            raise ModelError(f"weights: {name!r} holds a value that is not finite")
