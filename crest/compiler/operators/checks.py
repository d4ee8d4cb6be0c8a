"""What the readers of operators share: options, and conditions that end in an error with the operator's place."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import tflite
from numpy.typing import NDArray

from crest.compiler.graph import ACTIVATION_TYPES, INTEGER_RANGES, Operator, Tensor
from crest.errors import ModelError

Tensors = tuple[Tensor, ...]
DYNAMIC_BATCH_HINT: Final = "was it converted with a dynamic batch? Convert it with a static batch of 1"
_ACTIVATIONS: Final = {
    tflite.ActivationFunctionType.NONE: "none",
    tflite.ActivationFunctionType.RELU: "relu",
    tflite.ActivationFunctionType.RELU_N1_TO_1: "relu_n1_to_1",
    tflite.ActivationFunctionType.RELU6: "relu6",
}


def need(condition: bool, where: str, problem: str, hint: str | None = None) -> None:
    """Refuse an operator unless a condition holds."""
    if not condition:
        raise ModelError(f"{where}: {problem}", hint=hint)


def options(raw: Any, options_type: Any, where: str) -> Any:
    """The options of an operator, read as a table of a type."""
    table = raw.BuiltinOptions()
    need(table is not None, where, "has no options")
    read = options_type()
    read.Init(table.Bytes, table.Pos)
    return read


def activation(value: int, where: str) -> str:
    """Name of a fused activation."""
    need(
        value in _ACTIVATIONS,
        where,
        f"fused activation {value} is not supported ({', '.join(_ACTIVATIONS.values())} are)",
    )
    return _ACTIVATIONS[value]


def constant_ints(op: Operator, position: int, tensors: Tensors, where: str) -> NDArray[np.int64]:
    """The values of an input that must be known at compile time."""
    tensor = tensors[op.inputs[position]]
    need(tensor.data is not None and tensor.dtype == "int32", where, f"input {position} must be constant int32")
    assert tensor.data is not None
    return tensor.data.astype(np.int64)


def axis_of(value: int, rank: int, where: str) -> int:
    """An axis, counted from behind where negative."""
    need(-rank <= value < rank, where, f"axis {value} does not exist")
    return value % rank


def positive_number(value: float, where: str, name: str) -> float:
    """A finite number above zero."""
    need(math.isfinite(value) and value > 0, where, f"{name} must be positive")
    return value


def check_types(where: str, *same: Tensor) -> None:
    """Tensors of one type of activations; of integers, with one scale."""
    dtype = same[0].dtype
    equal = all(t.dtype == dtype for t in same) and dtype in ACTIVATION_TYPES
    need(equal, where, f"types must be equal, one of {', '.join(ACTIVATION_TYPES)}")
    need(dtype not in INTEGER_RANGES or all(_has_one_scale(t) for t in same), where, f"{dtype} without quantization")


def check_quantized(tensor: Tensor, where: str) -> None:
    """An int8 tensor with one scale."""
    need(tensor.dtype == "int8" and _has_one_scale(tensor), where, f"{tensor.dtype} where quantized int8 is needed")


def check_same_scale(where: str, *same: Tensor) -> None:
    """For operators that move, compare or average values without rescaling them."""
    check_types(where, *same)
    first = same[0].quantization
    alike = all(
        t.quantization is not None and first is not None
        and (t.scale, t.zero_point) == (first.scale[0], first.zero_point[0])
        for t in same
    )  # fmt: skip
    need(same[0].dtype not in INTEGER_RANGES or alike, where, "input and output must share scale and zero point")


def _has_one_scale(tensor: Tensor) -> bool:
    return tensor.quantization is not None and len(tensor.quantization.scale) == 1


def check_shape(out: Tensor, expected: tuple[int, ...], where: str) -> None:
    """The shape that an operator computes must be the one that the file states."""
    need(
        out.shape == expected,
        where,
        f"output shape {list(out.shape)} contradicts the operator, which makes {list(expected)}",
        DYNAMIC_BATCH_HINT if out.shape[:1] != expected[:1] else None,
    )
