"""Generated layers of int16 activations, their weights int8 and their zero points 0."""

from __future__ import annotations

import math

import numpy as np

from tests.kernels.registry import Draw, allowed_activation, layers, one_operator, shape_of
from tests.kernels.weighted_layers import Geometry, geometry, weights
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

_CONVOLUTIONS = ("crest_conv2d_s16", "crest_conv2d_wide_s16", "crest_conv2d_narrow_s16")


def activations(shape: tuple[int, ...], scale: float) -> TensorSpec:
    return TensorSpec(shape, "int16", scale=[float(np.float32(scale))])


def weighted(
    draw: Draw, kind: str, shapes: tuple[tuple[int, ...], ...], bias_type: str, options: dict, pads: tuple = ()
) -> bytes:
    """A layer with weights; ``shapes`` are those of input, filters and output."""
    source, filters, out = shapes
    unit_axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    units = filters[unit_axis]
    in_scale, largest = draw.scale(1e-6, 1e-2), draw.scale(1e-4, 0.1)
    w_scales = [float(np.float32(largest * draw.scale(1e-2, 1.0))) for _ in range(units)]
    taps = int(np.prod(filters)) // units
    # Sums near 2**15 * 60 * sqrt(taps); a factor above 1 takes the wide kernels, and so do biases beyond 32 bits.
    is_wide = bias_type == "int64" and draw.chance(0.45)
    out_scale = in_scale * max(w_scales) * (draw.scale(0.2, 1e3) if is_wide else 60 * taps**0.5 * draw.scale(0.05, 4.0))
    bits = draw.choice((33, 36, 38) if is_wide else (6, 14, 22))
    bias = draw.arrays.integers(-(2**bits) + 1, 2**bits, units).astype(bias_type)
    options = {**options, "activation": allowed_activation(options["activation"], out_scale)}
    tensors = [
        activations(source, in_scale),
        TensorSpec(filters, "int8", data=weights(draw, filters, "int8", unit_axis), scale=w_scales, axis=unit_axis),
        TensorSpec((units,), bias_type, data=bias, scale=[in_scale * scale for scale in w_scales]),
        activations(out, out_scale),
    ]
    op = OpSpec(kind, [0, 1, 2], [3], options, version=3)
    ops = [op]
    if any(sum(pad) for pad in pads):
        padded = (source[0], *(size + sum(pad) for size, pad in zip(source[1:3], pads, strict=True)), source[3])
        tensors += [
            activations(padded, in_scale),
            TensorSpec((4, 2), "int32", data=np.array([(0, 0), *pads, (0, 0)], np.int32)),
        ]
        op.inputs[0] = 4
        ops = [OpSpec("PAD", [0, 5], [4], version=2), op]
    return write_tflite(tensors, ops, [0], [3])


def bias_of_convolution(draw: Draw) -> str:
    """Biases of 32 bits have a kernel of their own."""
    return draw.choice(("int32", "int64", "int64"))


@layers(*_CONVOLUTIONS)
def conv2d_s16(draw: Draw) -> bytes:
    if draw.chance(0.3):
        depth, units = draw.choice((draw.randint(1, 70), 128, 511)), draw.randint(1, 20)
        shapes = (1, depth), (units, depth), (1, units)
        return weighted(draw, "FULLY_CONNECTED", shapes, bias_of_convolution(draw), {"activation": draw.activation()})
    in_c, out_c = draw.channels(), draw.channels()
    g: Geometry = geometry(draw, in_c * out_c, 2 * in_c, "int8")
    shapes = (1, *g.source, in_c), (out_c, *g.kernel, in_c), (1, *g.out, out_c)
    return weighted(draw, "CONV_2D", shapes, bias_of_convolution(draw), g.options, g.pads)


@layers("crest_depthwise_s16", "crest_depthwise_wide_s16")
def depthwise_s16(draw: Draw) -> bytes:
    multiplier = draw.choice((1, 1, 2, 3))
    in_c = draw.channels() if multiplier == 1 else draw.size(13)
    g: Geometry = geometry(draw, in_c * multiplier, 2 * in_c, "int8")
    units = in_c * multiplier
    shapes = (1, *g.source, in_c), (1, *g.kernel, units), (1, *g.out, units)
    return weighted(draw, "DEPTHWISE_CONV_2D", shapes, "int64", {**g.options, "multiplier": multiplier}, g.pads)


def binary(draw: Draw, kind: str) -> bytes:
    shape = shape_of(draw)
    left, right = draw.scale(1e-6, 1e-3), draw.scale(1e-6, 1e-3)
    largest = left * right * 2**15 if kind == "MUL" else max(left, right)
    operands = [activations(shape, left), activations((1, 1, 1, shape[3]) if draw.chance(0.3) else shape, right)]
    tensors = [*operands, activations(shape, largest * draw.scale(0.3, 3.0))]
    return one_operator(kind, tensors, options={"activation": draw.activation()})


@layers("crest_add_s16")
def sum_s16(draw: Draw) -> bytes:
    return binary(draw, draw.choice(("ADD", "SUB")))


@layers("crest_mul_s16")
def mul_s16(draw: Draw) -> bytes:
    return binary(draw, "MUL")


@layers("crest_relu_s16")
def relu_s16(draw: Draw) -> bytes:
    shape = shape_of(draw)
    # One and the same scale would make it a clamp of what is in front of it.
    return one_operator("RELU", [activations(shape, draw.scale(1e-5, 1e-3)) for _ in range(2)])


def pool(draw: Draw, kind: str) -> bytes:
    _, h, w, channels = shape_of(draw)
    same = draw.chance(0.5)
    kernel = [draw.randint(1, 5 if same else min(5, size)) for size in (h, w)]
    stride = [draw.randint(1, 3), draw.randint(1, 3)]
    reach = [size if same else size - k + 1 for size, k in zip((h, w), kernel, strict=True)]
    out = [math.ceil(r / s) for r, s in zip(reach, stride, strict=True)]
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "filter_h": kernel[0],
        "filter_w": kernel[1], "activation": draw.activation(),
    }  # fmt: skip
    scale = draw.scale(1e-5, 1e-2)
    return one_operator(
        kind, [activations((1, h, w, channels), scale), activations((1, *out, channels), scale)], options=options
    )


@layers("crest_max_pool_s16")
def max_pool_s16(draw: Draw) -> bytes:
    return pool(draw, "MAX_POOL_2D")


@layers("crest_average_pool_s16")
def average_pool_s16(draw: Draw) -> bytes:
    return pool(draw, "AVERAGE_POOL_2D")


@layers("crest_mean_s16")
def mean_s16(draw: Draw) -> bytes:
    shape = shape_of(draw)
    axes = draw.choice(((1, 2), (2, 1), (-3, -2), (1,), (2,), (3,), (1, 2, 3)))
    averaged = {axis % 4 for axis in axes}
    out = tuple(size for i, size in enumerate(shape) if i not in averaged)
    scale = draw.scale(1e-5, 1e-2)
    tensors = [activations(shape, scale), activations(out, scale * draw.scale(0.05, 4.0))]
    constants = [TensorSpec((len(axes),), "int32", data=np.array(axes, np.int32))]
    return one_operator("MEAN", tensors, constants, {"keep_dims": False})


@layers("crest_softmax_s16")
def softmax_s16(draw: Draw) -> bytes:
    shape = (draw.size(5), draw.choice((1, 2, 3, 4, 10, 12, 35, 100)))
    tensors = [activations(shape, draw.scale(1e-6, 1e-2)), activations(shape, 1 / 32768)]
    return one_operator("SOFTMAX", tensors, options={"beta": draw.choice((1.0, 1.0, 0.5, 2.0))})
