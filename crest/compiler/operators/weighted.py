"""Convolutions and dense layers."""

from __future__ import annotations

from typing import Any

import tflite

from crest.compiler.graph import ACTIVATION_TYPES, INTEGER_RANGES, Operator, output_channels
from crest.compiler.operators.checks import Tensors, activation, need, options
from crest.compiler.operators.windows import check_window_output, window_attributes


def read_conv(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """CONV_2D."""
    source, filters = tensors[op.inputs[0]], tensors[op.inputs[1]]
    attributes = _convolution(options(raw, tflite.Conv2DOptions, where), op, tensors, where)
    need(filters.shape[3] == source.shape[3], where, "grouped convolution is not supported")
    return attributes


def read_depthwise(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """DEPTHWISE_CONV_2D."""
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    attributes = _convolution(options(raw, tflite.DepthwiseConv2DOptions, where), op, tensors, where)
    need(filters.shape[0] == 1, where, "filters are malformed")
    need(out.shape[3] % source.shape[3] == 0, where, "output channels must be a multiple of the input channels")
    return attributes


def _convolution(given: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """What convolutions of both kinds share."""
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    need(len(filters.shape) == 4, where, "needs 4-dimensional tensors")
    need(filters.data is not None, where, "filters must be constant")
    kernel = (filters.shape[1], filters.shape[2])
    dilation = (given.DilationHFactor(), given.DilationWFactor())
    attributes = window_attributes(given, source, kernel, dilation, where)
    need(
        len(out.shape) == 4 and output_channels(op.kind, filters) == out.shape[3],
        where,
        "filters and output channels differ",
    )
    check_window_output(attributes, source, out, kernel, where)
    _check_weighted(op, tensors, where)
    return {**attributes, "activation": activation(given.FusedActivationFunction(), where)}


def read_fully_connected(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """FULLY_CONNECTED, of any number of rows."""
    given = options(raw, tflite.FullyConnectedOptions, where)
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    need(given.WeightsFormat() == 0, where, "shuffled weights are not supported")
    need(filters.data is not None and len(filters.shape) == 2, where, "weights must be a constant matrix")
    units, depth = filters.shape
    need(
        source.elements % depth == 0
        and out.shape[-1:] == (units,)
        and out.elements == source.elements // depth * units,
        where,
        "input, weights and output differ in shape",
    )
    _check_weighted(op, tensors, where)
    return {"activation": activation(given.FusedActivationFunction(), where)}


def _check_weighted(op: Operator, tensors: Tensors, where: str) -> None:
    source, filters, out = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    weight_type = "int8" if source.dtype in INTEGER_RANGES else source.dtype
    alike = source.dtype == out.dtype and filters.dtype == weight_type
    need(alike and source.dtype in ACTIVATION_TYPES, where, "hybrid types are not supported")
    units = output_channels(op.kind, filters)
    if source.dtype in INTEGER_RANGES:
        need(
            bool(source.quantization and filters.quantization and out.quantization),
            where,
            f"{source.dtype} without quantization",
        )
        assert filters.quantization is not None
        need(len(filters.quantization.scale) in (1, units), where, "one scale, or one per output channel, is needed")
        need(not any(filters.quantization.zero_point), where, "weights must be symmetric (zero point 0)")
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = tensors[op.inputs[2]]
        need(bias.data is not None and bias.elements == units, where, "bias must be constant, one per output channel")
        # TFLM's depthwise convolution of int16 takes whatever bias it finds for int64.
        wide = ("int64",) if op.kind == "DEPTHWISE_CONV_2D" else ("int32", "int64")
        allowed = {"int8": ("int32",), "int16": wide, "float32": ("float32",)}[source.dtype]
        need(bias.dtype in allowed, where, f"bias of type {bias.dtype} ({' or '.join(allowed)} is)")
