"""Interprets a layer graph with TensorFlow's own operators, to convert it. Lives in the conversion worker.

The weights are constants of the traced function, so there is nothing to freeze. Keras layers are not used: they take
three times as long to build, and Keras adds tensors of one element by squeezing and bias_add, which ships reshapes.
Importing this module needs the search extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.models.extras import require_search_extra
from crest.models.layers import (
    NO_PADDING,
    Activation,
    Add,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalPool,
    Input,
    LayerGraph,
    MaxPool2D,
    Node,
    Padding,
    Pair,
    Reshape,
    Slice,
    same_padding,
)

tf = require_search_extra("tensorflow")

WeightArrays = Mapping[str, NDArray[np.float32]]


def concrete_function(graph: LayerGraph, weights: WeightArrays) -> Any:
    """The traced function of a graph for inference: a window with a static batch of 1 in, the list of outputs out."""
    signature = tf.TensorSpec((1, *graph.input_shape), tf.float32, name="window")
    traced = tf.function(lambda window: _forward(graph, weights, window), autograph=False)
    return traced.get_concrete_function(signature)


def _forward(graph: LayerGraph, weights: WeightArrays, window: Any) -> list[Any]:
    values: dict[str, Any] = {}
    for node in graph.nodes:
        if isinstance(node.layer, Input):
            values[node.name] = window
        else:
            values[node.name] = _apply(node, [values[name] for name in node.inputs], weights)
    return [values[name] for name in graph.outputs]


def _apply(node: Node, arguments: list[Any], weights: WeightArrays) -> Any:
    layer, x, name = node.layer, arguments[0], node.name
    if isinstance(layer, Conv2D | DepthwiseConv2D | Dense):
        x = _linear(name, layer, x, weights[f"{name}.kernel"])
        return tf.nn.bias_add(x, weights[f"{name}.bias"], name=f"{name}_bias") if layer.use_bias else x
    if isinstance(layer, BatchNorm):
        mean, variance, beta, gamma = (weights[f"{name}.{part}"] for part in ("mean", "variance", "beta", "gamma"))
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon, name=name)
    if isinstance(layer, Activation):
        return (tf.nn.relu if layer.function == "relu" else tf.nn.relu6)(x, name=name)
    if isinstance(layer, Dropout):
        return x
    if isinstance(layer, Add):
        return tf.add(x, arguments[1], name=name)
    if isinstance(layer, Slice):
        return _slice(name, layer, x)
    if isinstance(layer, MaxPool2D):
        return tf.nn.max_pool2d(x, layer.pool, layer.strides, "VALID", name=name)
    if isinstance(layer, AveragePool2D):
        return tf.nn.avg_pool2d(x, layer.pool, layer.strides, "VALID", name=name)
    if isinstance(layer, GlobalPool):
        return _global_pool(name, layer, x)
    if isinstance(layer, Reshape):
        return tf.reshape(x, (1, *layer.shape), name=name)
    raise NotImplementedError(f"TensorFlow interpreter: layer kind {layer.kind}")


def _linear(name: str, layer: Conv2D | DepthwiseConv2D | Dense, x: Any, kernel: NDArray[np.float32]) -> Any:
    if isinstance(layer, Dense):
        return tf.matmul(x, kernel, name=name)
    x, padding = _pad(name, layer.padding, layer.kernel, layer.strides, x)
    strides = (1, *layer.strides, 1)
    if isinstance(layer, Conv2D):
        return tf.nn.conv2d(x, kernel, strides, padding, name=name)
    return tf.nn.depthwise_conv2d(x, kernel, strides, padding, name=name)


def _pad(name: str, padding: Padding, kernel: Pair, strides: Pair, x: Any) -> tuple[Any, str]:
    """Explicit zeros, unless TensorFlow's "same" padding is just those and costs no operator of its own."""
    if padding == NO_PADDING:
        return x, "VALID"
    if padding == same_padding(tuple(x.shape[1:]), kernel, strides):
        return x, "SAME"
    top, bottom, left, right = padding
    return tf.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), name=f"{name}_pad"), "VALID"


def _slice(name: str, layer: Slice, x: Any) -> Any:
    axis = layer.axis + 1
    begin, end, strides = [0] * 4, [0] * 4, [1] * 4
    begin[axis], end[axis], strides[axis] = layer.begin, layer.end, layer.stride
    whole = 0b1111 & ~(
        1 << axis
    )  # masks for the other axes; without them a stride of 1 becomes another operator, SLICE
    return tf.strided_slice(x, begin, end, strides, begin_mask=whole, end_mask=whole, name=name)


def _global_pool(name: str, layer: GlobalPool, x: Any) -> Any:
    if layer.function == "avg":
        return tf.reduce_mean(x, axis=(1, 2), name=name)
    # A pool over the whole image is a plain MAX_POOL_2D, a maximum over axes would be a reduction.
    whole = tf.nn.max_pool2d(x, tuple(x.shape[1:3]), (1, 1), "VALID", name=name)
    return tf.reshape(whole, (1, x.shape[3]), name=f"{name}_vector")
