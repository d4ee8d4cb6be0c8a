"""Generated layers without weights."""

from __future__ import annotations

import math

import numpy as np

from tests.kernels.registry import Draw, allowed_activation, layers
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


def shape_of(draw: Draw, elements: int = 3000) -> tuple[int, ...]:
    """Four dimensions, the first of them 1."""
    while True:
        shape = (1, draw.size(9), draw.size(13), draw.channels())
        if math.prod(shape) <= elements:
            return shape


def one_operator(
    kind: str, tensors: list[TensorSpec], constants: list[TensorSpec], options: dict | None = None
) -> bytes:
    """Activations, the last of them the result, and constants behind the operands."""
    activations, everything = len(tensors) - 1, [*tensors, *constants]
    inputs = list(range(activations))
    operands = inputs + list(range(len(tensors), len(everything)))
    op = OpSpec(kind, operands, [activations], options or {}, version=2)
    return write_tflite(everything, [op], inputs, [activations])


def add(draw: Draw, dtype: str) -> bytes:
    shape = shape_of(draw)
    activation = draw.activation()
    q: list[dict] = [{}, {}, {}]
    if dtype == "int8":
        left = draw.scale(1e-5, 10.0)
        right = float(np.float32(left * draw.choice((1.0, draw.scale(0.05, 20.0), draw.scale(1e-6, 1e6)))))
        # A result of less than a 2**19th of its operands' scale is refused.
        out = float(np.float32(max(left, right) * draw.choice((draw.scale(0.3, 3.0), draw.scale(1e-5, 1e4)))))
        q = [{"scale": [scale], "zero_point": [draw.zero_point()]} for scale in (left, right, out)]
        activation = allowed_activation(activation, out)
    tensors = [TensorSpec(shape, dtype, **each) for each in q]
    return one_operator("ADD", tensors, [], {"activation": activation})


def relu(draw: Draw, dtype: str) -> bytes:
    shape = shape_of(draw)
    q: list[dict] = [{}, {}]
    if dtype == "int8":
        source = draw.scale(1e-4, 1.0)
        out = float(np.float32(source * draw.choice((1.0, draw.scale(0.2, 5.0), draw.scale(1e-5, 1e5)))))
        q = [{"scale": [scale], "zero_point": [draw.zero_point()]} for scale in (source, out)]
    return one_operator("RELU", [TensorSpec(shape, dtype, **each) for each in q], [])


def pool(draw: Draw, kind: str, dtype: str) -> bytes:
    _, h, w, channels = shape_of(draw)
    kernel = [h, w] if draw.chance(0.2) else [draw.randint(1, 5), draw.randint(1, 5)]
    same = draw.chance(0.5)
    if not same:
        kernel = [min(kernel[0], h), min(kernel[1], w)]
    stride = [draw.randint(1, 3), draw.randint(1, 3)]
    reach = [size if same else size - k + 1 for size, k in zip((h, w), kernel, strict=True)]
    out = [-(-r // s) for r, s in zip(reach, stride, strict=True)]
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "filter_h": kernel[0],
        "filter_w": kernel[1], "activation": draw.activation(),
    }  # fmt: skip
    q = {"scale": [draw.scale(1e-3, 1.0)], "zero_point": [draw.zero_point()]} if dtype == "int8" else {}
    tensors = [TensorSpec((1, h, w, channels), dtype, **q), TensorSpec((1, *out, channels), dtype, **q)]
    return one_operator(kind, tensors, [], options)


def mean(draw: Draw, dtype: str) -> bytes:
    shape = shape_of(draw)
    axes = draw.choice(((1, 2), (2, 1), (-3, -2), (1,), (2,), (3,), (1, 2, 3)))
    keep = draw.chance(0.5)
    averaged = {axis % 4 for axis in axes}
    out = tuple(1 if i in averaged else size for i, size in enumerate(shape) if keep or i not in averaged)
    q: list[dict] = [{}, {}]
    if dtype == "int8":
        source = draw.scale(1e-3, 0.5)
        scales = (source, float(np.float32(source * draw.scale(0.05, 4.0))))
        q = [{"scale": [scale], "zero_point": [draw.zero_point()]} for scale in scales]
    tensors = [TensorSpec(shape, dtype, **q[0]), TensorSpec(out, dtype, **q[1])]
    constants = [TensorSpec((len(axes),), "int32", data=np.array(axes, np.int32))]
    return one_operator("MEAN", tensors, constants, {"keep_dims": keep})


def softmax(draw: Draw, dtype: str) -> bytes:
    shape = (draw.size(5), draw.choice((1, 2, 3, 4, 10, 12, 35, 100, draw.randint(1, 300))))
    q: list[dict] = [{}, {}]
    if dtype == "int8":
        source = {"scale": [draw.scale(1e-4, 1.5)], "zero_point": [draw.zero_point()]}
        q = [source, {"scale": [1 / 256], "zero_point": [-128]}]
    tensors = [TensorSpec(shape, dtype, **each) for each in q]
    return one_operator("SOFTMAX", tensors, [], {"beta": draw.choice((1.0, 1.0, 0.5, 2.0, draw.scale(0.1, 10.0)))})


def _same_scale(draw: Draw, dtype: str) -> dict:
    return {"scale": [0.1], "zero_point": [draw.zero_point()]} if dtype == "int8" else {}


@layers("crest_add_s8")
def add_s8(draw: Draw) -> bytes:
    return add(draw, "int8")


@layers("crest_add_f32")
def add_f32(draw: Draw) -> bytes:
    return add(draw, "float32")


@layers("crest_relu_s8")
def relu_s8(draw: Draw) -> bytes:
    return relu(draw, "int8")


@layers("crest_relu_f32")
def relu_f32(draw: Draw) -> bytes:
    return relu(draw, "float32")


@layers("crest_max_pool_s8")
def max_pool_s8(draw: Draw) -> bytes:
    return pool(draw, "MAX_POOL_2D", "int8")


@layers("crest_max_pool_f32")
def max_pool_f32(draw: Draw) -> bytes:
    return pool(draw, "MAX_POOL_2D", "float32")


@layers("crest_average_pool_s8")
def average_pool_s8(draw: Draw) -> bytes:
    return pool(draw, "AVERAGE_POOL_2D", "int8")


@layers("crest_average_pool_f32")
def average_pool_f32(draw: Draw) -> bytes:
    return pool(draw, "AVERAGE_POOL_2D", "float32")


@layers("crest_mean_s8")
def mean_s8(draw: Draw) -> bytes:
    return mean(draw, "int8")


@layers("crest_mean_f32")
def mean_f32(draw: Draw) -> bytes:
    return mean(draw, "float32")


@layers("crest_softmax_s8")
def softmax_s8(draw: Draw) -> bytes:
    return softmax(draw, "int8")


@layers("crest_softmax_f32")
def softmax_f32(draw: Draw) -> bytes:
    return softmax(draw, "float32")


@layers("crest_pad")
def pad(draw: Draw) -> bytes:
    dtype = draw.choice(("int8", "int8", "float32"))
    shape = shape_of(draw, 800)
    pads = [(draw.randint(0, 3), draw.randint(0, 3)) for _ in shape]
    if draw.chance(0.5):
        pads[0] = (0, 0)
    out = tuple(size + sum(pad) for size, pad in zip(shape, pads, strict=True))
    q = _same_scale(draw, dtype)
    constant = TensorSpec((4, 2), "int32", data=np.array(pads, np.int32))
    return one_operator("PAD", [TensorSpec(shape, dtype, **q), TensorSpec(out, dtype, **q)], [constant])


@layers("crest_slice")
def strided_slice(draw: Draw) -> bytes:
    """Never one whose elements are neighbours, for that is a view."""
    dtype = draw.choice(("int8", "int8", "float32"))
    while True:
        shape = shape_of(draw)
        begin = [draw.randrange(size) for size in shape]
        end = [draw.randint(first + 1, size) for first, size in zip(begin, shape, strict=True)]
        steps = [draw.randint(1, 3) for _ in shape]
        chosen = np.arange(math.prod(shape)).reshape(shape)
        chosen = chosen[tuple(slice(*each) for each in zip(begin, end, steps, strict=True))]
        if np.ptp(chosen) + 1 != chosen.size:
            break
    q = _same_scale(draw, dtype)
    constants = [TensorSpec((4,), "int32", data=np.array(values, np.int32)) for values in (begin, end, steps)]
    tensors = [TensorSpec(shape, dtype, **q), TensorSpec(chosen.shape, dtype, **q)]
    return one_operator("STRIDED_SLICE", tensors, constants)
