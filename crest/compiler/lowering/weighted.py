"""Lowering of layers with weights, int8: which kernel, and the weights in its order.

The quick kernels split a factor into ``multiplier / 2**(31 + shift)`` with a shift of at least 1, and keep biases in 27
bits. A layer that does not fit, which a network whose activations all but vanish may have, takes the exact kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import INT8_MAX, INT8_MIN, activation_range_int8, quantize_multiplier, requantize
from crest.compiler.graph import Graph, Operator, output_channels, requantization_factors
from crest.compiler.kernel_call import Constant, KernelCall, dense_window, window_fields
from crest.compiler.lowering.overlap import lag_bytes
from crest.targets import CoreName

# The quick requantization doubles a sum before it is multiplied.
_SUM_LIMIT: Final = 1 << 30
_BIAS_LIMIT: Final = 1 << 26
_GROUP_TAPS: Final = 4
_TILE_POSITIONS: Final = 3
# Patches are gathered in whole words.
_OVERRUN_BYTES: Final = 4


@dataclass(frozen=True)
class _Ahead:
    """How far the convolutions of a core read behind weights and widened patches, to load a step ahead."""

    weight_bytes: int
    patch_bytes: int


_AHEAD: Final = {"cortex-m4": _Ahead(0, 0), "cortex-m7": _Ahead(4, 8)}


@dataclass(frozen=True, eq=False)
class _Layer:
    """A weighted layer as integers.

    Attributes:
        weights: int8 [out channels, taps].
        bias: int64 by channel, the input zero point folded in.
        multiplier, shift: by channel; the shift is to the left where positive.
    """

    window: dict[str, int]
    weights: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    in_zero: int
    out_zero: int
    bounds: tuple[int, int]

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])

    @property
    def padded_taps(self) -> int:
        return -(-self.taps // _GROUP_TAPS) * _GROUP_TAPS

    @property
    def pairs(self) -> int:
        return -(-len(self.weights) // 2)

    @property
    def positions(self) -> int:
        return self.window["out_h"] * self.window["out_w"]

    def is_quick(self, bias: NDArray[np.int64]) -> bool:
        """Whether every sum, and every step of its requantization, fits the quick kernels."""
        if (self.shift >= 0).any() or (np.abs(bias) >= _BIAS_LIMIT).any():
            return False
        largest = np.abs(self.bias) + -INT8_MIN * np.abs(self.weights.astype(np.int64)).sum(axis=1)
        scaled = (largest * self.multiplier >> 31) + 1 + (abs(2 * self.out_zero + 1) << np.minimum(-self.shift - 1, 31))
        return bool((largest < _SUM_LIMIT).all() and (scaled < 1 << 31).all())


def conv_s8(graph: Graph, op: Operator, core: CoreName) -> list[KernelCall]:
    """Convolution; patches that lie contiguously in the input are read in place."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    in_place = filters.shape[1] == 1 and op.attributes["dilation"][1] == 1 and not any(op.attributes["padding"])
    return _convolution(_layer(graph, op, window, filters.data.reshape(window["out_c"], -1)), core, in_place)


def fully_connected_s8(graph: Graph, op: Operator, core: CoreName) -> list[KernelCall]:
    """Dense layer."""
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    layer = _layer(graph, op, dense_window(*data.shape), data)
    if core != "cortex-m0plus" and layer.is_quick(layer.bias):
        return [_quick("crest_dense_pairs_s8", layer, layer.bias, _pairs(layer.weights))]
    return _convolution(layer, core, in_place=True)


def depthwise_s8(graph: Graph, op: Operator, core: CoreName) -> list[KernelCall]:
    """Depthwise convolution; of a single input channel, it is a convolution."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    layer = _layer(graph, op, window, np.ascontiguousarray(filters.data.reshape(-1, window["out_c"]).T))
    if window["in_c"] == 1:
        return _convolution(layer, core, in_place=False)
    if window["in_c"] == window["out_c"] and layer.is_quick(layer.bias):
        scratch_bytes = 8 * layer.taps + 17 * window["in_c"]
        return [_quick("crest_depthwise_s8", layer, layer.bias, _fours(layer.weights), scratch_bytes)]
    return [_exact("crest_depthwise_wide_s8", layer, filters.data.reshape(-1))]


def _layer(graph: Graph, op: Operator, window: dict[str, int], weights: NDArray[np.int8]) -> _Layer:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    units = output_channels(op.kind, filters)
    bias = np.zeros(units, dtype=np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        data = graph.tensors[op.inputs[2]].data
        assert data is not None
        bias = data.reshape(units).astype(np.int64)
    requantization = [quantize_multiplier(factor) for factor in requantization_factors(source, filters, out, units)]
    bias = bias - source.zero_point * weights.astype(np.int64).sum(axis=1)
    for channel in np.flatnonzero(~weights.any(axis=1)):
        # Converters give channels without weights any scale and bias: say the constant that comes out plainly.
        constant = requantize(int(bias[channel]), *requantization[channel]) + out.zero_point
        bias[channel] = 4 * (min(max(constant, INT8_MIN), INT8_MAX) - out.zero_point)
        requantization[channel] = (1 << 30, -1)
    multiplier, shift = np.array(requantization, dtype=np.int64).reshape(units, 2).T
    return _Layer(
        window=window,
        weights=weights,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        in_zero=source.zero_point,
        out_zero=out.zero_point,
        bounds=activation_range_int8(op.attributes["activation"], out.scale, out.zero_point),
    )


def _convolution(layer: _Layer, core: CoreName, in_place: bool) -> list[KernelCall]:
    gather_bytes = 0 if in_place else layer.padded_taps + _OVERRUN_BYTES
    if core == "cortex-m0plus":
        bias = layer.bias + INT8_MIN * layer.weights.astype(np.int64).sum(axis=1)
        if layer.is_quick(bias):
            scratch_bytes = layer.padded_taps + _OVERRUN_BYTES
            return [_quick("crest_conv2d_quads_s8", layer, bias, _quads(layer.weights), scratch_bytes)]
    elif layer.is_quick(layer.bias):
        ahead = _AHEAD[core]
        calls = [_conv_pairs(layer, gather_bytes, ahead)]
        if layer.window["dilation_w"] == 1 and layer.window["out_w"] >= _TILE_POSITIONS:
            calls.append(_conv_rows(layer, ahead))
        return calls
    return [_exact("crest_conv2d_wide_s8", layer, layer.weights.reshape(-1), gather_bytes)]


def _conv_pairs(layer: _Layer, gather_bytes: int, ahead: _Ahead) -> KernelCall:
    """Patches widened one by one, three at a time; those left over are taken as they are."""
    tiles, left = divmod(layer.positions, _TILE_POSITIONS)
    groups = layer.padded_taps // _GROUP_TAPS
    window = layer.window
    is_pointwise = layer.taps == window["in_c"] and layer.positions == window["in_h"] * window["in_w"]
    # Patches whose lines are no whole groups are gathered before they are widened.
    run = window["in_c"] * (window["k_w"] if window["dilation_w"] == 1 else 1)
    is_gathered = run % _GROUP_TAPS != 0 and window["k_h"] > 1
    work = {
        "tile_pairs": tiles * layer.pairs, "tile_steps": tiles * layer.pairs * 2 * groups,
        "patches": 0 if is_pointwise else _TILE_POSITIONS * tiles,
        "pointwise_patches": _TILE_POSITIONS * tiles if is_pointwise else 0,
        "widened_groups": _TILE_POSITIONS * tiles * groups,
        "gathered_lines": _TILE_POSITIONS * tiles * window["k_h"] if is_gathered else 0,
        "gathered_groups": _TILE_POSITIONS * tiles * groups if is_gathered else 0,
        "lines": left, "line_fours": left * -(-layer.pairs // 2), "line_groups": left * -(-layer.pairs // 2) * groups,
    }  # fmt: skip
    scratch_bytes = gather_bytes
    if tiles:
        scratch_bytes = 2 * _TILE_POSITIONS * layer.padded_taps + max(gather_bytes, ahead.patch_bytes)
    weights = np.pad(_pairs(layer.weights), (0, ahead.weight_bytes))
    return _quick("crest_conv2d_pairs_s8", layer, layer.bias, weights, scratch_bytes, work)


def _conv_rows(layer: _Layer, ahead: _Ahead) -> KernelCall:
    """Three positions of a row at a time, whose patches share what they have in common."""
    window = layer.window
    columns = window["k_w"] + (_TILE_POSITIONS - 1) * window["stride_w"]
    tiles = window["out_h"] * -(-window["out_w"] // _TILE_POSITIONS)
    steps = -(-window["k_w"] * window["in_c"] // 2)
    lines = tiles * window["k_h"]
    work = {
        "tile_pairs": tiles * layer.pairs, "tile_lines": lines * layer.pairs, "tile_steps": lines * layer.pairs * steps,
        "tiles": tiles, "lines": lines, "widened_groups": lines * -(-columns * window["in_c"] // _GROUP_TAPS),
    }  # fmt: skip
    line_bytes = (2 * columns * window["in_c"] + 10) & ~3
    # The host gathers patches.
    scratch_bytes = max(window["k_h"] * line_bytes, layer.padded_taps + _OVERRUN_BYTES)
    weights = np.pad(_lines(layer.weights, window["k_h"]), (0, ahead.weight_bytes))
    return _quick("crest_conv2d_rows_s8", layer, layer.bias, weights, scratch_bytes, work, again=1)


def _quick(
    function: str,
    layer: _Layer,
    bias: NDArray[np.int64],
    weights: NDArray[np.int8],
    scratch_bytes: int | None = None,
    work: Mapping[str, int] | None = None,
    again: int = 0,
) -> KernelCall:
    """A call of a quick kernel; ``scratch_bytes`` is None where it takes no scratch memory."""
    records = bias * 32 - layer.shift - 1
    shared = bool((layer.multiplier == layer.multiplier[0]).all())
    return KernelCall(
        function=function,
        arguments=_arguments(scratch_bytes),
        params=(
            "crest_weighted_s8_params",
            {
                **_common_fields(layer), "multiplier_step": 0 if shared else 4, "weights": "@weights",
                "biases": "@biases", "multipliers": "@multipliers",
            },
        ),
        constants=(
            # As words, which are aligned.
            Constant("weights", "int32_t", np.pad(weights, (0, -len(weights) % 4)).view(np.int32)),
            Constant("biases", "int32_t", np.append(records, np.zeros(-len(records) % 4, dtype=np.int64))),
            Constant("multipliers", "int32_t", layer.multiplier[:1] if shared else layer.multiplier),
        ),
        scratch_bytes=scratch_bytes or 0,
        weight_bytes=layer.weights.size + 4 * len(bias),
        work=work or {},
        lag_bytes=lag_bytes(layer.window, again),
    )  # fmt: skip


def _exact(function: str, layer: _Layer, weights: NDArray[np.int8], scratch_bytes: int | None = None) -> KernelCall:
    """A call of a kernel that is exact for every sum; it adds modulo 2**32, as the reference does."""
    bias = (layer.bias + (1 << 31)) % (1 << 32) - (1 << 31)
    return KernelCall(
        function=function,
        arguments=_arguments(scratch_bytes),
        params=(
            "crest_wide_s8_params",
            {**_common_fields(layer), "weights": "@weights", "channels": "@channels"},
        ),
        constants=(
            Constant("weights", "int8_t", weights),
            Constant("channels", "crest_channel", np.column_stack([bias, layer.multiplier, layer.shift])),
        ),
        scratch_bytes=scratch_bytes or 0,
        weight_bytes=layer.weights.size + 4 * len(bias),
        lag_bytes=lag_bytes(layer.window),
    )


def _arguments(scratch_bytes: int | None) -> tuple[str, ...]:
    scratch = {None: (), 0: ("0",)}.get(scratch_bytes, ("{scratch}",))
    return ("{params}", "{in0}", "{out}", *scratch)


def _common_fields(layer: _Layer) -> dict[str, Any]:
    return {
        "window": layer.window, "in_zero": layer.in_zero, "out_zero": layer.out_zero, "act_min": layer.bounds[0],
        "act_max": layer.bounds[1],
    }  # fmt: skip


def _filled(weights: NDArray[np.int8], channels: int) -> NDArray[np.int8]:
    """Zeros behind the taps up to whole groups, and behind the channels up to a multiple of ``channels``."""
    return np.pad(weights, ((0, -len(weights) % channels), (0, -weights.shape[1] % _GROUP_TAPS)))


def _pairs(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Pairs of channels; of each, by four taps: taps 0 and 2, then 1 and 3, the two channels in turns."""
    filled = _filled(weights, 2)
    by_group = filled.reshape(len(filled) // 2, 2, -1, 2, 2)
    return np.ascontiguousarray(by_group.transpose(0, 2, 4, 3, 1)).reshape(-1)


def _lines(weights: NDArray[np.int8], lines: int) -> NDArray[np.int8]:
    """Pairs of channels; of each, by line and two taps, the two channels in turns; lines filled up to even taps."""
    taps = weights.shape[1] // lines
    filled = np.pad(
        weights.reshape(len(weights), lines, taps), ((0, len(weights) % 2), (0, 0), (0, taps % 2)), constant_values=0
    )
    by_pair = filled.reshape(len(filled) // 2, 2, lines, -1)
    return np.ascontiguousarray(by_pair.transpose(0, 2, 3, 1)).reshape(-1)


def _quads(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights + 128 with the taps filled up, by fours of channels."""
    unsigned = (_filled(weights, 1).astype(np.int16) - INT8_MIN).astype(np.uint8)
    return _fours(unsigned.view(np.int8))


def _fours(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Four channels in turns, tap by tap; the channels beyond whole fours one after another."""
    whole = len(weights) // 4 * 4
    by_tap = weights[:whole].reshape(whole // 4, 4, weights.shape[1]).transpose(0, 2, 1)
    return np.concatenate([by_tap.reshape(-1), weights[whole:].reshape(-1)])
