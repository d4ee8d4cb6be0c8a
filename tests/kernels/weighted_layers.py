"""Generated convolutions and dense layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tests.kernels.registry import Draw, allowed_activation, layers
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

# What a case may take: emulated, it should be over within milliseconds.
_MACS = {"int8": 40_000, "float32": 5_000}
_INPUT_BYTES = 24_000
_WEIGHT_BYTES = 80_000
_QUICK = ("crest_conv2d_pairs_s8", "crest_conv2d_rows_s8", "crest_conv2d_quads_s8")


@dataclass(frozen=True)
class Geometry:
    source: tuple[int, int]
    kernel: tuple[int, int]
    out: tuple[int, int]
    options: dict
    pads: tuple[tuple[int, int], tuple[int, int]]
    """Rows and columns that a PAD in front adds."""


def geometry(draw: Draw, weights_per_tap: int, in_c: int, dtype: str) -> Geometry:
    """A window with any padding, stride and dilation, and as many positions as the work of a case allows."""
    element = np.dtype(dtype).itemsize
    while True:
        line = draw.chance(0.3)
        kernel = (1 if line else draw.randint(1, 3), draw.choice((1, 2, 3, 3, 4, 5, 7, 9) if line else (1, 2, 3, 3, 5)))
        if draw.chance(0.2):
            kernel = (1, 1)
        dilation = (draw.choice((1, 1, 1, 2, 3)), draw.choice((1, 1, 1, 2, 3, 8 if line else 1)))
        stride = (draw.choice((1, 1, 2, 3)), draw.choice((1, 1, 2, 3)))
        weights = weights_per_tap * kernel[0] * kernel[1]
        if weights * element > _WEIGHT_BYTES:
            continue
        positions = max(1, _MACS[dtype] // weights)
        out_w = draw.randint(1, min(14, positions))
        out_h = 1 if line else draw.randint(1, min(6, positions // out_w))
        padding = draw.choice(("same", "valid", "explicit"))
        size, pads = [], []
        for out, k, step, spread in zip((out_h, out_w), kernel, stride, dilation, strict=True):
            reach = (k - 1) * spread + 1 + (out - 1) * step + draw.randint(0, step - 1)
            added = (draw.randint(0, 3), draw.randint(0, 3)) if padding == "explicit" else (0, 0)
            length = out * step - draw.randint(0, step - 1) if padding == "same" else reach - sum(added)
            size.append(length)
            pads.append(added)
        if min(size) > 0 and size[0] * size[1] * in_c * element <= _INPUT_BYTES:
            break
    options = {
        "padding": 0 if padding == "same" else 1, "stride_h": stride[0], "stride_w": stride[1],
        "dilation_h": dilation[0], "dilation_w": dilation[1], "activation": draw.activation(),
    }  # fmt: skip
    return Geometry((size[0], size[1]), kernel, (out_h, out_w), options, (pads[0], pads[1]))


def quantization(draw: Draw, units: int, taps: int, wide: bool) -> tuple[float, list[float], float]:
    """Scales of input, weights and output. Channels may differ by many orders of magnitude."""
    in_scale = draw.scale(1e-4, 1.0)
    largest = draw.scale(1e-5, 0.1)
    spread = 10.0 ** -draw.choice((0, 1, 4, 9))
    w_scales = [largest * draw.scale(spread, 1.0) if spread < 1 else largest for _ in range(units)]
    w_scales = [float(np.float32(scale)) for scale in w_scales]
    out_scale = in_scale * max(w_scales) * 60 * taps**0.5 * draw.scale(0.01, 4.0)
    if wide:
        # TFLM compares the scale of a bias with the product of the other two, relative to that of the output.
        in_scale = 2.0 ** round(math.log2(in_scale))
        out_scale = in_scale * max(w_scales) * draw.scale(1e-7, 1.0)
    return in_scale, w_scales if draw.chance(0.7) else w_scales[:1], float(np.float32(out_scale))


def biases(draw: Draw, units: int, wide: bool) -> np.ndarray:
    largest = draw.choice((2**31 - 1, 2**30, 2**27) if wide else (2**6, 2**14, 2**20, 2**25))
    return draw.arrays.integers(-largest, largest, units, endpoint=True).astype(np.int32)


def weights(draw: Draw, shape: tuple[int, ...], dtype: str, unit_axis: int) -> np.ndarray:
    values = draw.values(shape, dtype)
    if draw.chance(0.1):
        dead = draw.randrange(shape[unit_axis])
        np.moveaxis(values, unit_axis, 0)[dead] = 0
    return values


def weighted(
    draw: Draw, kind: str, source: tuple[int, ...], filters: tuple[int, ...], out: tuple[int, ...], options: dict,
    pads: tuple = (), dtype: str = "int8", wide: bool = False,
) -> bytes:  # fmt: skip
    """A layer with weights, with a PAD in front where there is something to add."""
    unit_axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    units = filters[unit_axis]
    q: list[dict] = [{}, {}, {}, {}]
    if dtype == "int8":
        taps = int(np.prod(filters)) // units
        in_scale, w_scales, out_scale = quantization(draw, units, taps, wide)
        q = [
            {"scale": [in_scale], "zero_point": [draw.zero_point()]},
            {"scale": w_scales, "axis": unit_axis},
            {"scale": [in_scale * scale for scale in w_scales]},
            {"scale": [out_scale], "zero_point": [draw.zero_point()]},
        ]
        options = {**options, "activation": allowed_activation(options["activation"], out_scale)}
    bias = biases(draw, units, wide) if dtype == "int8" else draw.values((units,), dtype)
    tensors = [
        TensorSpec(source, dtype, **q[0]),
        TensorSpec(filters, dtype, data=weights(draw, filters, dtype, unit_axis), **q[1]),
        TensorSpec((units,), "int32" if dtype == "int8" else dtype, data=bias, **q[2]),
        TensorSpec(out, dtype, **q[3]),
    ]
    # TFLM crashes on an int8 depthwise convolution without bias.
    has_bias = kind == "DEPTHWISE_CONV_2D" or draw.chance(0.8)
    version = 4 if kind == "FULLY_CONNECTED" else 3
    op = OpSpec(kind, [0, 1, 2 if has_bias else -1], [3], options, version)
    ops = [op]
    if any(sum(pad) for pad in pads):
        padded = (source[0], *(size + sum(pad) for size, pad in zip(source[1:3], pads, strict=True)), source[3])
        tensors += [
            TensorSpec(padded, dtype, **q[0]),
            TensorSpec((4, 2), "int32", data=np.array([(0, 0), *pads, (0, 0)], np.int32)),
        ]
        op.inputs[0] = 4
        ops = [OpSpec("PAD", [0, 5], [4], version=2 if dtype == "int8" else 1), op]
    return write_tflite(tensors, ops, [0], [3])


def batches(draw: Draw) -> int:
    return draw.randint(2, 3) if draw.chance(0.1) else 1


def convolution(draw: Draw, dtype: str = "int8", wide: bool = False) -> bytes:
    in_c, out_c = draw.channels(), draw.channels()
    g = geometry(draw, in_c * out_c, in_c, dtype)
    filters = (out_c, *g.kernel, in_c)
    return weighted(draw, "CONV_2D", (1, *g.source, in_c), filters, (1, *g.out, out_c), g.options, g.pads, dtype, wide)


def depthwise(draw: Draw, dtype: str = "int8", wide: bool = False, multiplier: int = 1) -> bytes:
    in_c = draw.channels() if multiplier == 1 else draw.size(13)
    g = geometry(draw, in_c * multiplier, in_c, dtype)
    options = {**g.options, "multiplier": multiplier}
    batch, filters = batches(draw), (1, *g.kernel, in_c * multiplier)
    source, out = (batch, *g.source, in_c), (batch, *g.out, in_c * multiplier)
    return weighted(draw, "DEPTHWISE_CONV_2D", source, filters, out, options, g.pads, dtype, wide)


def dense(draw: Draw, dtype: str = "int8", wide: bool = False) -> bytes:
    depth = draw.choice((draw.randint(1, 70), draw.randint(1, 70), 64, 128, 256, 511, 512, 640, 1024))
    units = min(draw.choice((1, 2, 3, 4, 5, 9, 10, 16, 31, 64)), 20_000 // depth)
    options = {"activation": draw.activation()}
    return weighted(draw, "FULLY_CONNECTED", (1, depth), (units, depth), (1, units), options, dtype=dtype, wide=wide)


@layers(*_QUICK)
def conv2d_s8(draw: Draw) -> bytes:
    return convolution(draw)


@layers("crest_conv2d_wide_s8")
def conv2d_wide_s8(draw: Draw) -> bytes:
    return draw.choice((convolution, convolution, dense))(draw, wide=True)


@layers("crest_depthwise_s8")
def depthwise_s8(draw: Draw) -> bytes:
    return depthwise(draw)


@layers("crest_depthwise_wide_s8")
def depthwise_wide_s8(draw: Draw) -> bytes:
    """Wide sums, and several output channels for each of the input."""
    multiplier = draw.choice((1, 2, 3, 4, 8))
    return depthwise(draw, wide=multiplier == 1 or draw.chance(0.3), multiplier=multiplier)


@layers("crest_dense_pairs_s8")
def dense_s8(draw: Draw) -> bytes:
    return dense(draw)


@layers("crest_conv2d_f32")
def conv2d_f32(draw: Draw) -> bytes:
    return draw.choice((convolution, dense))(draw, "float32")


@layers("crest_depthwise_f32")
def depthwise_f32(draw: Draw) -> bytes:
    return depthwise(draw, "float32", multiplier=draw.choice((1, 1, 2, 3)))
