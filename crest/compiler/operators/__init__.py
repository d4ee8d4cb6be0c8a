"""What each operator of a .tflite means: its options, read and checked, and which versions are supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from crest.compiler.graph import Operator, Tensor
from crest.compiler.operators.averages import MAX_SOFTMAX_DEPTH, read_mean, read_pool, read_softmax
from crest.compiler.operators.elementwise import (
    read_activation,
    read_binary,
    read_dequantize,
    read_hard_swish,
    read_leaky_relu,
    read_quantize,
)
from crest.compiler.operators.joins import read_concatenation, read_pack, read_split, read_split_v, read_unpack
from crest.compiler.operators.moves import (
    read_batch_to_space,
    read_pad,
    read_reshape,
    read_slice,
    read_space_to_batch,
    read_strided_slice,
    read_transpose,
)
from crest.compiler.operators.weighted import read_conv, read_depthwise, read_fully_connected

MAX_PARTS: Final = 64
"""Most tensors that one operator may join, or part a tensor into."""


@dataclass(frozen=True)
class Reader:
    """How an operator is read.

    Attributes:
        read: its attributes from (raw operator, operator, tensors, place for messages); refuses what is malformed.
        max_version: highest supported version.
        limits: what is supported, in words for the table of operators.
        inputs: how many inputs it may have.
        outputs: how many outputs it may have.
        activations: positions of inputs that must not be constant; None where any may be, but not all.
        optional: position of an input that may be left out.
    """

    read: Callable[[Any, Operator, tuple[Tensor, ...], str], dict[str, Any]]
    max_version: int
    limits: str
    inputs: range
    outputs: range = range(1, 2)
    activations: tuple[int, ...] | None = (0,)
    optional: int | None = None


_ONE, _TWO, _THREE = range(1, 2), range(2, 3), range(3, 4)
_MANY: Final = range(1, MAX_PARTS + 1)
_WEIGHTED: Final = range(2, 4)
_FUSED: Final = "fused activation"
_BROADCAST: Final = f"operands broadcast, one may be constant; {_FUSED}"
_SAME_SCALE: Final = "same scale"
_CONSTANT_AXIS: Final = f"constant axis, up to {MAX_PARTS} parts; {_SAME_SCALE}"
_WINDOW: Final = f"SAME or VALID padding; any batch; {_FUSED}"

READERS: Final[dict[str, Reader]] = {
    "ADD": Reader(read_binary, 2, _BROADCAST, _TWO, activations=None),
    "AVERAGE_POOL_2D": Reader(read_pool, 2, f"{_WINDOW}; {_SAME_SCALE}", _ONE),
    "BATCH_TO_SPACE_ND": Reader(read_batch_to_space, 3, f"3 or 4 dimensions; constant block; {_SAME_SCALE}", _THREE),
    "CONCATENATION": Reader(
        read_concatenation, 2, f"up to {MAX_PARTS} inputs, some may be constant; {_SAME_SCALE}", _MANY, activations=None
    ),
    "CONV_2D": Reader(read_conv, 3, f"constant filters, no groups; dilation; {_WINDOW}", _WEIGHTED, optional=2),
    "DEPTHWISE_CONV_2D": Reader(
        read_depthwise, 3, f"constant filters, any multiplier; dilation; {_WINDOW}", _WEIGHTED, optional=2
    ),
    "DEQUANTIZE": Reader(read_dequantize, 2, "int8 to float32, one scale", _ONE),
    "EXPAND_DIMS": Reader(read_reshape, 1, "a view", _TWO),
    "FULLY_CONNECTED": Reader(
        read_fully_connected, 5, f"constant weights, any number of rows; {_FUSED}", _WEIGHTED, optional=2
    ),
    "HARD_SWISH": Reader(read_hard_swish, 1, "int8: input scale below 127 output scales", _ONE),
    "LEAKY_RELU": Reader(read_leaky_relu, 2, "alpha not negative", _ONE),
    "LOGISTIC": Reader(read_activation, 2, "int8: output scale 1/256, zero point -128", _ONE),
    "MAX_POOL_2D": Reader(read_pool, 2, f"{_WINDOW}; {_SAME_SCALE}", _ONE),
    "MEAN": Reader(read_mean, 2, "constant neighbouring axes", _TWO),
    "MUL": Reader(read_binary, 2, _BROADCAST, _TWO, activations=None),
    "PACK": Reader(read_pack, 2, _CONSTANT_AXIS, _MANY, activations=None),
    "PAD": Reader(read_pad, 2, f"up to 4 dimensions; constant paddings; {_SAME_SCALE}", _TWO),
    "QUANTIZE": Reader(read_quantize, 2, "float32 or int8 to int8, one scale", _ONE),
    "RELU": Reader(read_activation, 2, "", _ONE),
    "RELU6": Reader(read_activation, 2, "int8: values are clamped, not rescaled, as in the reference", _ONE),
    "RESHAPE": Reader(read_reshape, 1, f"a view; {_SAME_SCALE}", range(1, 3)),
    "SLICE": Reader(read_slice, 3, f"constant begin and size; {_SAME_SCALE}", _THREE),
    "SOFTMAX": Reader(
        read_softmax, 2,
        f"last axis; int8: fewer than {MAX_SOFTMAX_DEPTH} elements, output scale 1/256, zero point -128", _ONE,
    ),
    "SPACE_TO_BATCH_ND": Reader(
        read_space_to_batch, 3, f"3 or 4 dimensions; constant block; fills with zeros; {_SAME_SCALE}",
        _THREE,
    ),
    "SPLIT": Reader(read_split, 2, _CONSTANT_AXIS, _TWO, _MANY, (1,)),
    "SPLIT_V": Reader(read_split_v, 2, f"constant sizes, {_CONSTANT_AXIS}", _THREE, _MANY),
    "SQUEEZE": Reader(read_reshape, 1, "a view", _ONE),
    "STRIDED_SLICE": Reader(
        read_strided_slice, 2, f"constant begin, end and positive strides; no ellipsis, no new axes; {_SAME_SCALE}",
        range(4, 5),
    ),
    "SUB": Reader(read_binary, 2, _BROADCAST, _TWO, activations=None),
    "TANH": Reader(read_activation, 2, "int8: output scale 1/128, zero point 0", _ONE),
    "TRANSPOSE": Reader(read_transpose, 2, f"constant permutation; {_SAME_SCALE}", _TWO),
    "UNPACK": Reader(read_unpack, 2, _CONSTANT_AXIS, _ONE, _MANY),
}  # fmt: skip


def supported_operators() -> list[str]:
    """Names of the operators the compiler knows."""
    return sorted(READERS)
