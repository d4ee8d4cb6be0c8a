"""What each operator of a .tflite means: its options, read and checked, and which versions are supported."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tflite
from numpy.typing import NDArray

from crest.compiler.graph import ACTIVATION_TYPES, INTEGER_RANGES, Operator, Tensor, output_channels
from crest.errors import ModelError

# Beyond it the sum of exponentials leaves the format that the reference adds them in.
MAX_SOFTMAX_DEPTH: Final = 4096
# What softmax gives, by type: scale and zero point.
_SOFTMAX_OUTPUT: Final = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
_ACTIVATIONS: Final = {
    tflite.ActivationFunctionType.NONE: "none",
    tflite.ActivationFunctionType.RELU: "relu",
    tflite.ActivationFunctionType.RELU6: "relu6",
}


def _options(raw: Any, options_type: Any) -> Any:
    table = raw.BuiltinOptions()
    options = options_type()
    if table is None:
        raise ModelError("operator without options")
    options.Init(table.Bytes, table.Pos)
    return options


def _activation(value: int, where: str) -> str:
    if value not in _ACTIVATIONS:
        raise ModelError(f"{where}: fused activation {value} is not supported ({', '.join(_ACTIVATIONS.values())} are)")
    return _ACTIVATIONS[value]


def _need(condition: bool, where: str, problem: str) -> None:
    if not condition:
        raise ModelError(f"{where}: {problem}")


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and behind an axis under TensorFlow's SAME rule."""
    effective = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + effective - size, 0)
    return total // 2, total - total // 2


def _spatial(
    options: Any, in_shape: tuple[int, ...], kernel: tuple[int, int], dilation: tuple[int, int], where: str
) -> dict[str, Any]:
    strides = (options.StrideH(), options.StrideW())
    _need(min(*strides, *kernel, *dilation) > 0, where, "stride, kernel and dilation must be positive")
    if options.Padding() == tflite.Padding.SAME:
        rows = _same_padding(in_shape[1], kernel[0], strides[0], dilation[0])
        columns = _same_padding(in_shape[2], kernel[1], strides[1], dilation[1])
        padding = (*rows, *columns)
    else:
        padding = (0, 0, 0, 0)
    return {"strides": strides, "dilation": dilation, "padding": padding}


def _check_spatial_output(
    attributes: dict[str, Any], source: Tensor, out: Tensor, kernel: tuple[int, int], where: str
) -> None:
    top, bottom, left, right = attributes["padding"]
    for axis, before, behind in ((0, top, bottom), (1, left, right)):
        effective = (kernel[axis] - 1) * attributes["dilation"][axis] + 1
        size = (source.shape[1 + axis] + before + behind - effective) // attributes["strides"][axis] + 1
        _need(out.shape[1 + axis] == size, where, f"output shape {list(out.shape)} contradicts kernel and stride")


def _read_conv(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, filters = tensors[op.inputs[0]], tensors[op.inputs[1]]
    attributes = _convolution(_options(raw, tflite.Conv2DOptions), op, tensors, where)
    _need(filters.shape[3] == source.shape[3], where, "grouped convolution is not supported")
    return attributes


def _read_depthwise(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    attributes = _convolution(_options(raw, tflite.DepthwiseConv2DOptions), op, tensors, where)
    _need(filters.shape[0] == 1, where, "filters are malformed")
    _need(out.shape[3] % source.shape[3] == 0, where, "output channels must be a multiple of the input channels")
    return attributes


def _convolution(options: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    """What convolutions of both kinds share."""
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    _need(len(source.shape) == len(filters.shape) == len(out.shape) == 4, where, "needs 4-dimensional tensors")
    _need(source.shape[0] == out.shape[0] == 1, where, "batch must be 1")
    _need(filters.data is not None, where, "filters must be constant")
    _need(output_channels(op.kind, filters) == out.shape[3], where, "filters and output channels differ")
    kernel = (filters.shape[1], filters.shape[2])
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    attributes = _spatial(options, source.shape, kernel, dilation, where)
    _check_spatial_output(attributes, source, out, kernel, where)
    _check_weighted(op, tensors, where)
    return {**attributes, "activation": _activation(options.FusedActivationFunction(), where)}


def _read_fully_connected(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    options = _options(raw, tflite.FullyConnectedOptions)
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    _need(options.WeightsFormat() == 0, where, "shuffled weights are not supported")
    _need(filters.data is not None and len(filters.shape) == 2, where, "weights must be a constant matrix")
    _need(
        source.elements == filters.shape[1] and out.elements == filters.shape[0],
        where,
        "batch must be 1 and shapes agree",
    )
    _check_weighted(op, tensors, where)
    return {"activation": _activation(options.FusedActivationFunction(), where)}


def _check_weighted(op: Operator, tensors: tuple[Tensor, ...], where: str) -> None:
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    weight_type = "int8" if source.dtype == "int16" else source.dtype
    types_agree = source.dtype == out.dtype and filters.dtype == weight_type
    _need(types_agree and source.dtype in ACTIVATION_TYPES, where, "hybrid types are not supported")
    units = output_channels(op.kind, filters)
    if source.dtype in INTEGER_RANGES:
        _need_quantization(source, filters, out, where=where)
        assert filters.quantization is not None
        _need(len(filters.quantization.scale) in (1, units), where, "one scale, or one per output channel, is needed")
        _need(not any(filters.quantization.zero_point), where, "weights must be symmetric (zero point 0)")
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = tensors[op.inputs[2]]
        _need(bias.data is not None and bias.elements == units, where, "bias must be constant, one per output channel")
        # TFLM's depthwise convolution of int16 takes whatever bias it finds for int64.
        wide = ("int64",) if op.kind == "DEPTHWISE_CONV_2D" else ("int32", "int64")
        allowed = {"int8": ("int32",), "int16": wide, "float32": ("float32",)}[source.dtype]
        _need(bias.dtype in allowed, where, f"bias of type {bias.dtype} ({' or '.join(allowed)} is)")


def _read_add(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    options = _options(raw, tflite.AddOptions)
    left, right, out = (tensors[i] for i in (*op.inputs, *op.outputs))
    _need(left.shape == right.shape == out.shape, where, "broadcast is not supported")
    _need(right.data is None, where, "a constant operand is not supported")
    _check_types(left, out, where)
    _check_types(right, out, where)
    return {"activation": _activation(options.FusedActivationFunction(), where)}


def _read_pool(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    options = _options(raw, tflite.Pool2DOptions)
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _need(len(source.shape) == 4 and source.shape[0] == 1, where, "needs a 4-dimensional tensor of batch 1")
    _need(len(out.shape) == 4 and out.shape[0] == 1, where, "needs a 4-dimensional output of batch 1")
    _need(out.shape[3] == source.shape[3], where, "channels of input and output differ")
    kernel = (options.FilterHeight(), options.FilterWidth())
    _check_same_scale(source, out, where)
    attributes = _spatial(options, source.shape, kernel, (1, 1), where)
    _check_spatial_output(attributes, source, out, kernel, where)
    return {**attributes, "kernel": kernel, "activation": _activation(options.FusedActivationFunction(), where)}


def _check_types(source: Tensor, out: Tensor, where: str) -> None:
    equal = source.dtype == out.dtype and out.dtype in ACTIVATION_TYPES
    _need(equal, where, f"types must be equal, one of {', '.join(ACTIVATION_TYPES)}")
    if out.dtype in INTEGER_RANGES:
        _need_quantization(source, out, where=where)


def _need_quantization(*tensors: Tensor, where: str) -> None:
    _need(all(t.quantization for t in tensors), where, f"{tensors[0].dtype} without quantization")


def _check_same_scale(source: Tensor, out: Tensor, where: str) -> None:
    """For operators that move, compare or average values without rescaling them."""
    _check_types(source, out, where)
    same = source.quantization == out.quantization
    _need(out.dtype not in INTEGER_RANGES or same, where, "input and output must share scale and zero point")


def _read_mean(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    rank = len(source.shape)
    given = _constant_ints(op, 1, tensors, where).reshape(-1)
    _need(bool(((given >= -rank) & (given < rank)).all()) and len(given) > 0, where, "axes are malformed")
    axes = sorted({int(axis) % rank for axis in given})
    _need(axes[-1] - axes[0] == len(axes) - 1, where, "axes must be neighbours")
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(source.shape))
    dropped = tuple(size for axis, size in enumerate(source.shape) if axis not in axes)
    _need(out.shape in (kept, dropped), where, "output shape contradicts the axes")
    _check_types(source, out, where)
    return {"axes": tuple(axes)}


def _read_softmax(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    beta = float(_options(raw, tflite.SoftmaxOptions).Beta())
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _need(len(source.shape) > 0 and source.shape == out.shape, where, "the shape must be kept")
    _need(math.isfinite(beta) and beta > 0, where, "beta must be positive")
    _check_types(source, out, where)
    if out.dtype in INTEGER_RANGES:
        scale, zero_point = _SOFTMAX_OUTPUT[out.dtype]
        fixed = out.scale == scale and out.zero_point == zero_point
        _need(fixed, where, f"output must have scale {scale} and zero point {zero_point}")
        _need(source.shape[-1] < MAX_SOFTMAX_DEPTH, where, f"more than {MAX_SOFTMAX_DEPTH - 1} elements")
    return {"beta": beta}


def _constant_ints(op: Operator, position: int, tensors: tuple[Tensor, ...], where: str) -> NDArray[np.int64]:
    tensor = tensors[op.inputs[position]]
    _need(tensor.data is not None and tensor.dtype == "int32", where, f"input {position} must be constant int32")
    assert tensor.data is not None
    return tensor.data.astype(np.int64)


def _read_pad(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    pads = _constant_ints(op, 1, tensors, where)
    _need(pads.shape == (len(source.shape), 2) and bool((pads >= 0).all()), where, "paddings are malformed")
    _need(
        out.shape == tuple(int(s + p.sum()) for s, p in zip(source.shape, pads, strict=True)),
        where,
        "output shape contradicts the paddings",
    )
    _check_same_scale(source, out, where)
    return {"paddings": tuple((int(a), int(b)) for a, b in pads)}


def _read_strided_slice(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    options = _options(raw, tflite.StridedSliceOptions)
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _need(options.EllipsisMask() == 0 and options.NewAxisMask() == 0, where, "ellipsis and new axes are not supported")
    begin, end, strides = (_constant_ints(op, i, tensors, where) for i in (1, 2, 3))
    rank = len(source.shape)
    _need(len(begin) == len(end) == len(strides) == rank, where, "begin, end and strides must cover every axis")
    _need(bool((strides > 0).all()), where, "strides must be positive")
    starts, counts, kept = [], [], []
    for axis, size in enumerate(source.shape):
        stop = None if options.EndMask() >> axis & 1 else int(end[axis])
        start = None if options.BeginMask() >> axis & 1 else int(begin[axis])
        first, last, step = slice(start, stop, int(strides[axis])).indices(size)
        shrink = bool(options.ShrinkAxisMask() >> axis & 1)
        count = 1 if shrink else len(range(first, last, step))
        _need(count > 0 and first < size, where, f"axis {axis} selects nothing")
        starts.append(first)
        counts.append(count)
        if not shrink:
            kept.append(count)
    _need(
        out.elements == int(np.prod(counts)) and out.shape == tuple(kept), where, "output shape contradicts the slice"
    )
    _check_same_scale(source, out, where)
    return {"begin": tuple(starts), "count": tuple(counts), "strides": tuple(int(s) for s in strides)}


def _read_reshape(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _need(source.elements == out.elements, where, "changes the number of elements")
    _check_same_scale(source, out, where)
    return {}


def _read_relu(raw: Any, op: Operator, tensors: tuple[Tensor, ...], where: str) -> dict[str, Any]:
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _need(source.shape == out.shape, where, "the shape must be kept")
    _check_types(source, out, where)
    return {"activation": "relu"}


Reader = Callable[[Any, Operator, tuple[Tensor, ...], str], dict[str, Any]]
# kind: (reader of its options, highest version, how many inputs it may have)
READERS: Final[dict[str, tuple[Reader, int, tuple[int, ...]]]] = {
    "ADD": (_read_add, 2, (2,)),
    "AVERAGE_POOL_2D": (_read_pool, 2, (1,)),
    "CONV_2D": (_read_conv, 3, (2, 3)),
    "DEPTHWISE_CONV_2D": (_read_depthwise, 3, (2, 3)),
    "FULLY_CONNECTED": (_read_fully_connected, 5, (2, 3)),
    "MAX_POOL_2D": (_read_pool, 2, (1,)),
    "MEAN": (_read_mean, 2, (2,)),
    "PAD": (_read_pad, 2, (2,)),
    "RELU": (_read_relu, 2, (1,)),
    "RESHAPE": (_read_reshape, 1, (1, 2)),
    "SOFTMAX": (_read_softmax, 2, (1,)),
    "STRIDED_SLICE": (_read_strided_slice, 2, (4,)),
}


def supported_operators() -> list[str]:
    """Names of the operators the compiler knows."""
    return sorted(READERS)
