"""Lowering of layers with int8 weights and int16 activations, whose zero points are 0.

The reference has two arithmetics and chooses by the type of the bias: with int32 it sums modulo 2**32 and rounds twice,
as for int8; with int64, or without a bias, it sums in 64 bits, keeps 15 bits of the multiplier and rounds once. Where
no such sum can leave 32 bits and the factor lies below 1/2, that shrinks to one multiplication of which the upper half
is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import (
    INT16_MAX,
    INT16_MIN,
    activation_range_int16,
    quantize_multiplier,
    reduced_multiplier,
    requantize,
    requantize_wide,
)
from crest.compiler.graph import Graph, Operator, output_channels
from crest.compiler.kernel_call import Constant, KernelCall, dense_window, window_fields
from crest.compiler.lowering.overlap import lag_bytes
from crest.errors import ModelError

_GROUP_TAPS: Final = 4
_TILE_POSITIONS: Final = 2
# Patches are gathered in whole words.
_OVERRUN_BYTES: Final = 4
# Shifts for which a reduced multiplier fits 32 bits as a multiple of 2 / 2**32.
_QUICK_SHIFTS: Final = (-16, -1)
# What the reference's 64-bit arithmetic is made for.
_WIDE_SUM_LIMIT: Final = 1 << 47
_WIDE_SHIFT_LIMIT: Final = 7


@dataclass(frozen=True, eq=False)
class _Layer:
    """A weighted layer as integers.

    Attributes:
        weights: int8 [out channels, taps].
        bias: int64 by channel.
        multiplier, shift: by channel; the shift is to the left where positive.
        is_narrow: the reference sums in 32 bits and rounds twice.
    """

    window: dict[str, int]
    weights: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    is_narrow: bool
    bounds: tuple[int, int]

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])

    @property
    def largest_sums(self) -> NDArray[np.int64]:
        """By channel, what no sum exceeds."""
        largest: NDArray[np.int64] = np.abs(self.weights.astype(np.int64)).sum(axis=1) * -INT16_MIN + np.abs(self.bias)
        return largest

    @property
    def is_quick(self) -> bool:
        low, high = _QUICK_SHIFTS
        fits = (self.largest_sums < 1 << 31) & (self.shift >= low) & (self.shift <= high)
        return not self.is_narrow and bool(fits.all())


def conv_s16(graph: Graph, op: Operator) -> KernelCall:
    """Convolution; patches that lie contiguously in the input are read in place."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    in_place = filters.shape[1] == 1 and op.attributes["dilation"][1] == 1 and not any(op.attributes["padding"])
    return _convolution(_layer(graph, op, window, filters.data.reshape(window["out_c"], -1)), in_place)


def fully_connected_s16(graph: Graph, op: Operator) -> KernelCall:
    """Dense layer: a convolution of one position."""
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    return _convolution(_layer(graph, op, dense_window(*data.shape), data), in_place=True)


def depthwise_s16(graph: Graph, op: Operator) -> KernelCall:
    """Depthwise convolution; of a single input channel, it is a convolution."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    layer = _layer(graph, op, window, np.ascontiguousarray(filters.data.reshape(-1, window["out_c"]).T))
    if window["in_c"] == 1:
        return _convolution(layer, in_place=False)
    return _call("crest_depthwise", layer, Constant("weights", "int8_t", filters.data.reshape(-1)), ())


def _layer(graph: Graph, op: Operator, window: dict[str, int], weights: NDArray[np.int8]) -> _Layer:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.quantization is not None
    units = output_channels(op.kind, filters)
    bias, is_narrow = np.zeros(units, dtype=np.int64), False
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        tensor = graph.tensors[op.inputs[2]]
        assert tensor.data is not None
        bias, is_narrow = tensor.data.reshape(units).astype(np.int64), tensor.dtype == "int32"
    scales = filters.quantization.scale
    factors = [source.scale * scale / out.scale for scale in (scales if len(scales) == units else scales * units)]
    multiplier, shift = np.array([quantize_multiplier(factor) for factor in factors], dtype=np.int64).T
    layer = _Layer(
        window=window,
        weights=weights,
        bias=bias,
        multiplier=multiplier,
        shift=np.where(multiplier, shift, -1),
        is_narrow=is_narrow,
        bounds=activation_range_int16(op.attributes["activation"], out.scale),
    )
    layer = _with_plain_constants(layer)
    if not is_narrow and ((layer.largest_sums >= _WIDE_SUM_LIMIT) | (layer.shift > _WIDE_SHIFT_LIMIT)).any():
        raise ModelError("biases or scales leave the range of int16 arithmetic")
    return layer


def _with_plain_constants(layer: _Layer) -> _Layer:
    """Converters give channels without weights any scale and bias: say the constant that comes out plainly."""
    dead = ~layer.weights.any(axis=1)
    bias, multiplier, shift = layer.bias.copy(), layer.multiplier.copy(), layer.shift.copy()
    scaled = requantize if layer.is_narrow else requantize_wide
    for channel in np.flatnonzero(dead):
        constant = scaled(int(bias[channel]), int(multiplier[channel]), int(shift[channel]))
        bias[channel] = 4 * min(max(constant, INT16_MIN), INT16_MAX)
    multiplier[dead], shift[dead] = 1 << 30, -1
    return replace(layer, bias=bias, multiplier=multiplier, shift=shift)


def _convolution(layer: _Layer, in_place: bool) -> KernelCall:
    weights = Constant("weights", "int32_t", _pairs(layer.weights))
    patch_bytes = 2 * (-(-layer.taps // _GROUP_TAPS) * _GROUP_TAPS) + _OVERRUN_BYTES
    scratch_bytes = 0 if in_place else _TILE_POSITIONS * patch_bytes
    return _call("crest_conv2d", layer, weights, ("{scratch}" if scratch_bytes else "0",), scratch_bytes)


def _call(
    function: str, layer: _Layer, weights: Constant, extra: tuple[str, ...], scratch_bytes: int = 0
) -> KernelCall:
    suffix, c_type, rows = _channels(layer)
    return KernelCall(
        function=f"{function}{suffix}_s16",
        arguments=("{params}", "{in0}", "{out}", *extra),
        params=(
            "crest_weighted_s16_params",
            {
                "window": layer.window, "act_min": layer.bounds[0], "act_max": layer.bounds[1], "weights": "@weights",
                "channels": "@channels",
            },
        ),
        constants=(weights, Constant("channels", c_type, rows)),
        scratch_bytes=scratch_bytes,
        # int16 doubles the bytes; a tile reads the patches of all its positions while it writes their outputs.
        lag_bytes=2 * lag_bytes(layer.window, again=_TILE_POSITIONS - 1),
        weight_bytes=layer.weights.size + 4 * len(rows),
    )  # fmt: skip


def _channels(layer: _Layer) -> tuple[str, str, NDArray[np.int64]]:
    """Part of the kernel's name, type of its table of channels, and the rows of it."""
    if layer.is_narrow:
        return "_narrow", "crest_channel", np.column_stack([layer.bias, layer.multiplier, layer.shift])
    reduced = np.array([reduced_multiplier(int(m)) for m in layer.multiplier], dtype=np.int64)
    if layer.is_quick:
        return "", "crest_channel_s16", np.column_stack([layer.bias, reduced << (17 + layer.shift)])
    return "_wide", "crest_wide_channel_s16", np.column_stack([layer.bias, reduced, 15 - layer.shift])


def _pairs(weights: NDArray[np.int8]) -> NDArray[np.int32]:
    """Pairs of channels; of each, by tap, the two channels in turns. Filled up to whole groups of taps; in words."""
    filled = np.pad(weights, ((0, len(weights) % 2), (0, -weights.shape[1] % _GROUP_TAPS)))
    return filled.reshape(len(filled) // 2, 2, -1).transpose(0, 2, 1).reshape(-1).view(np.int32)
