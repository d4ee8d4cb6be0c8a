"""Generated sums and products, activations, changes of scale and type."""

from __future__ import annotations

import numpy as np

from tests.kernels.registry import Draw, allowed_activation, layers, one_operator, quantized, shape_of
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def same_shapes(draw: Draw) -> Shapes:
    shape = shape_of(draw)
    return shape, shape


def different_shapes(draw: Draw) -> Shapes:
    """Two shapes that broadcast; TFLM wants them to be of one rank, or axes to be missing in front."""
    while True:
        out = [draw.randint(1, 7) for _ in range(draw.randint(1, 4))]
        shapes = []
        for _ in range(2):
            shape = tuple(size if draw.chance(0.7) else 1 for size in out)
            shapes.append(shape[draw.randrange(len(shape)) :] if draw.chance(0.3) else shape)
        if shapes[0] != shapes[1]:
            return shapes[0], shapes[1]


def sum_scales(draw: Draw) -> list[float]:
    """Of operands and result, so that one factor for each operand may be enough."""
    left = draw.scale(1e-5, 10.0)
    right = left * draw.choice((1.0, draw.scale(0.05, 20.0), draw.scale(1e-6, 1e6)))
    return [left, right, max(left, right) * draw.choice((draw.scale(0.3, 3.0), draw.scale(0.3, 1e4)))]


def stepwise_sum_scales(draw: Draw) -> list[float]:
    """Of operands and result, so that every step of the reference counts.

    The result is so fine that factors leave 32 bits (one of less than a 2**19th of its operands' scale is refused), or
    many sums lie in the middle between two results.
    """
    left = draw.scale(1e-4, 1.0)
    if draw.chance(0.8):
        right = left * draw.scale(1e-3, 1e3)
        return [left, right, max(left, right) * draw.scale(1e-5, 0.2)]
    right = left * 2.0 ** draw.randint(-3, 3)
    return [left, right, max(left, right) * 2.0 ** draw.randint(1, 4)]


def product_scales(draw: Draw) -> list[float]:
    left, right = draw.scale(1e-4, 1.0), draw.scale(1e-4, 1.0)
    return [left, right, left * right * draw.choice((draw.scale(10.0, 300.0), draw.scale(1e-3, 1e6)))]


def binary(draw: Draw, kind: str, dtype: str, shapes: Shapes, scales: list[float]) -> bytes:
    """One of the operands is constant at times."""
    out = tuple(int(size) for size in np.broadcast_shapes(*shapes))
    activation = draw.activation()
    if dtype == "int8":
        activation = allowed_activation(activation, scales[2])
    tensors = [
        TensorSpec(shape, dtype, **quantized(draw, dtype, scale))
        for shape, scale in zip((*shapes, out), scales, strict=True)
    ]
    inputs = [0, 1]
    if draw.chance(0.3):
        constant = inputs.pop(draw.randrange(2))
        tensors[constant].data = draw.values(tensors[constant].shape, dtype)
    op = OpSpec(kind, [0, 1], [2], {"activation": activation}, version=2)
    return write_tflite(tensors, [op], inputs, [2])


def unary(draw: Draw, kind: str, dtypes: tuple[str, str], scales: tuple[float, float]) -> bytes:
    """A function of one element; ``scales`` matter where types are int8."""
    shape = shape_of(draw, 500 if "float32" in dtypes else 3000)
    tensors = [
        TensorSpec(shape, dtype, **quantized(draw, dtype, scale)) for dtype, scale in zip(dtypes, scales, strict=True)
    ]
    fixed = {"LOGISTIC": -128, "TANH": 0}.get(kind)
    if fixed is not None and dtypes[1] == "int8":
        tensors[1].zero_point = [fixed]
    return one_operator(kind, tensors, options={"alpha": draw.choice((0.0, 0.1, 0.2, draw.uniform(0.0, 1.5)))})


def float32(draw: Draw, kind: str) -> bytes:
    return unary(draw, kind, ("float32", "float32"), (1.0, 1.0))


@layers("crest_sum_s8")
def sum_s8(draw: Draw) -> bytes:
    return binary(draw, draw.choice(("ADD", "SUB")), "int8", same_shapes(draw), sum_scales(draw))


@layers("crest_sum_broadcast_s8")
def sum_broadcast_s8(draw: Draw) -> bytes:
    return binary(draw, draw.choice(("ADD", "SUB")), "int8", different_shapes(draw), sum_scales(draw))


@layers("crest_add_s8")
def add_s8(draw: Draw) -> bytes:
    shapes = draw.choice((same_shapes, different_shapes))(draw)
    return binary(draw, draw.choice(("ADD", "SUB")), "int8", shapes, stepwise_sum_scales(draw))


@layers("crest_mul_s8")
def mul_s8(draw: Draw) -> bytes:
    shapes = draw.choice((same_shapes, different_shapes))(draw)
    return binary(draw, "MUL", "int8", shapes, product_scales(draw))


@layers("crest_lookup_s8")
def lookup_s8(draw: Draw) -> bytes:
    kind = draw.choice(("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE"))
    source = draw.choice((draw.scale(1e-4, 1.0), draw.scale(1e-8, 10.0)))
    out = source * draw.choice((1.0, draw.scale(0.2, 5.0), draw.scale(0.01, 1e6)))
    return unary(draw, kind, ("int8", "int8"), (source, {"LOGISTIC": 1 / 256, "TANH": 1 / 128}.get(kind, out)))


@layers("crest_add_f32")
def add_f32(draw: Draw) -> bytes:
    return binary(draw, "ADD", "float32", draw.choice((same_shapes, different_shapes))(draw), [1.0] * 3)


@layers("crest_sub_f32")
def sub_f32(draw: Draw) -> bytes:
    return binary(draw, "SUB", "float32", draw.choice((same_shapes, different_shapes))(draw), [1.0] * 3)


@layers("crest_mul_f32")
def mul_f32(draw: Draw) -> bytes:
    return binary(draw, "MUL", "float32", draw.choice((same_shapes, different_shapes))(draw), [1.0] * 3)


@layers("crest_relu_f32")
def relu_f32(draw: Draw) -> bytes:
    return float32(draw, draw.choice(("RELU", "RELU6")))


@layers("crest_leaky_relu_f32")
def leaky_relu_f32(draw: Draw) -> bytes:
    return float32(draw, "LEAKY_RELU")


@layers("crest_hard_swish_f32")
def hard_swish_f32(draw: Draw) -> bytes:
    return float32(draw, "HARD_SWISH")


@layers("crest_logistic_f32")
def logistic_f32(draw: Draw) -> bytes:
    return float32(draw, "LOGISTIC")


@layers("crest_tanh_f32")
def tanh_f32(draw: Draw) -> bytes:
    return float32(draw, "TANH")


@layers("crest_quantize_f32_s8")
def quantize_f32_s8(draw: Draw) -> bytes:
    return unary(draw, "QUANTIZE", ("float32", "int8"), (1.0, draw.scale(1e-3, 1.0)))


@layers("crest_dequantize_s8_f32")
def dequantize_s8_f32(draw: Draw) -> bytes:
    return unary(draw, "DEQUANTIZE", ("int8", "float32"), (draw.scale(1e-4, 10.0), 1.0))
