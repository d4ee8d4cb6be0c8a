"""Writes small .tflite files for tests, with chosen shapes, scales and weights. Slots follow the schema."""

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

_TYPES = {name: getattr(tflite.TensorType, name.upper()) for name in ("int8", "int16", "int32", "int64", "float32")}
_ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
# A value equal to its default is left out of the file; these defaults occur in no test.
_NEVER = {"Int8": -128, "Uint8": 255, "Int32": 2**30, "Uint32": 2**30, "Float32": -1.0}
_CASTS = {"Float32": float}
_POOL = (
    "Pool2DOptions",
    ((0, "Int8", "padding", 1), (1, "Int32", "stride_w", 1), (2, "Int32", "stride_h", 1),
     (3, "Int32", "filter_w", 1), (4, "Int32", "filter_h", 1), (5, "Int8", "activation", 0)),
)  # fmt: skip
# Operator: (options type, ((slot, kind, key, default), ...)); key "same" is the padding rule.
_OPTIONS = {
    "CONV_2D": (
        "Conv2DOptions",
        ((0, "Int8", "padding", 1), (1, "Int32", "stride_w", 1), (2, "Int32", "stride_h", 1),
         (3, "Int8", "activation", 0), (4, "Int32", "dilation_w", 1), (5, "Int32", "dilation_h", 1)),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        ((0, "Int8", "padding", 1), (1, "Int32", "stride_w", 1), (2, "Int32", "stride_h", 1),
         (3, "Int32", "multiplier", 1), (4, "Int8", "activation", 0), (5, "Int32", "dilation_w", 1),
         (6, "Int32", "dilation_h", 1)),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ((0, "Int8", "activation", 0), (1, "Int8", "weights_format", 0))),
    "ADD": ("AddOptions", ((0, "Int8", "activation", 0),)),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "MEAN": ("ReducerOptions", ((0, "Uint8", "keep_dims", 0),)),
    "SOFTMAX": ("SoftmaxOptions", ((0, "Float32", "beta", 1),)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ((0, "Int32", "begin_mask", 0), (1, "Int32", "end_mask", 0), (4, "Int32", "shrink_axis_mask", 0)),
    ),
    "PAD": ("PadOptions", ()),
    "RESHAPE": ("ReshapeOptions", ()),
    "LSTM": ("LSTMOptions", ()),
    "SUB": ("SubOptions", ((0, "Int8", "activation", 0),)),
    "MUL": ("MulOptions", ((0, "Int8", "activation", 0),)),
    "LEAKY_RELU": ("LeakyReluOptions", ((0, "Float32", "alpha", 0.2),)),
    "HARD_SWISH": ("HardSwishOptions", ()),
    "QUANTIZE": ("QuantizeOptions", ()),
    "DEQUANTIZE": ("DequantizeOptions", ()),
    "TRANSPOSE": ("TransposeOptions", ()),
    "SLICE": ("SliceOptions", ()),
    "EXPAND_DIMS": ("ExpandDimsOptions", ()),
    "SQUEEZE": ("SqueezeOptions", ()),
    "SPACE_TO_BATCH_ND": ("SpaceToBatchNDOptions", ()),
    "BATCH_TO_SPACE_ND": ("BatchToSpaceNDOptions", ()),
    "CONCATENATION": ("ConcatenationOptions", ((0, "Int32", "axis", 0), (1, "Int8", "activation", 0))),
    "SPLIT": ("SplitOptions", ((0, "Int32", "num_splits", 1),)),
    "SPLIT_V": ("SplitVOptions", ((0, "Int32", "num_splits", 1),)),
    "PACK": ("PackOptions", ((0, "Int32", "values_count", 1), (1, "Int32", "axis", 0))),
    "UNPACK": ("UnpackOptions", ((0, "Int32", "num", 1), (1, "Int32", "axis", 0))),
}  # fmt: skip


@dataclass
class TensorSpec:
    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: list[float] | None = None
    zero_point: list[int] | None = None
    axis: int = 0
    data: np.ndarray | None = None


@dataclass
class OpSpec:
    kind: str
    inputs: list[int]
    outputs: list[int]
    options: dict = field(default_factory=dict)
    version: int = 1


def write_tflite(tensors: list[TensorSpec], ops: list[OpSpec], inputs: list[int], outputs: list[int]) -> bytes:
    b = flatbuffers.Builder(4096)
    buffers = [b""] + [t.data.tobytes() if t.data is not None else b"" for t in tensors]
    buffer_offsets = [_table(b, 1, [(0, "offset", _bytes(b, data))] if data else []) for data in buffers]
    tensor_offsets = [_tensor(b, t, i) for i, t in enumerate(tensors)]
    op_offsets = [_operator(b, op, i) for i, op in enumerate(ops)]
    subgraph = _table(
        b, 5,
        [(0, "offset", _offsets(b, tensor_offsets)), (1, "offset", _numbers(b, inputs, "int32")),
         (2, "offset", _numbers(b, outputs, "int32")), (3, "offset", _offsets(b, op_offsets))],
    )  # fmt: skip
    codes = [_code(b, op) for op in ops]
    fields = [(0, "Uint32", 3), (1, "offset", _offsets(b, codes)), (2, "offset", _offsets(b, [subgraph]))]
    fields.append((4, "offset", _offsets(b, buffer_offsets)))
    b.Finish(_table(b, 5, fields), file_identifier=b"TFL3")
    return bytes(b.Output())


def _table(b, slots, fields):
    b.StartObject(slots)
    for slot, kind, value in fields:
        if kind == "offset":
            b.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            getattr(b, f"Prepend{kind}Slot")(slot, value, _NEVER[kind])
    return b.EndObject()


def _bytes(b, data):
    return b.CreateByteVector(data)


def _numbers(b, values, dtype):
    return b.CreateNumpyVector(np.array(values, dtype=dtype))


def _offsets(b, offsets):
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()


def _tensor(b, t, index):
    fields = [(0, "offset", _numbers(b, t.shape, "int32")), (1, "Int8", _TYPES[t.dtype]), (2, "Uint32", index + 1)]
    fields.append((3, "offset", b.CreateString(f"t{index}")))
    if t.scale is not None:
        scale = _numbers(b, t.scale, "float32")
        zero = _numbers(b, t.zero_point or [0] * len(t.scale), "int64")
        fields.append((4, "offset", _table(b, 7, [(2, "offset", scale), (3, "offset", zero), (6, "Int32", t.axis)])))
    return _table(b, 8, fields)


def _operator(b, op, index):
    name, slots = _OPTIONS.get(op.kind, (None, ()))
    fields = [(0, "Uint32", index), (1, "offset", _numbers(b, op.inputs, "int32"))]
    fields.append((2, "offset", _numbers(b, op.outputs, "int32")))
    if name is not None:
        values = {**op.options, "activation": _ACTIVATIONS[op.options.get("activation", "none")]}
        options = _table(
            b, 8, [(slot, kind, _CASTS.get(kind, int)(values.get(key, default))) for slot, kind, key, default in slots]
        )
        fields += [(3, "Uint8", getattr(tflite.BuiltinOptions, name)), (4, "offset", options)]
    return _table(b, 9, fields)


def _code(b, op):
    builtin = getattr(tflite.BuiltinOperator, op.kind)
    return _table(b, 4, [(0, "Int8", min(builtin, 127)), (2, "Int32", op.version), (3, "Int32", builtin)])
