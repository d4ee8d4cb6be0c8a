"""What a lowering says: which kernel is called, with which constants, parameters and scratch memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.graph import Graph, Operator, Tensor

C_TYPES: Mapping[str, str] = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant array: its suffix in the sources, its C type, its rows."""

    suffix: str
    c_type: str
    values: NDArray[Any]


def constant_operands(graph: Graph, op: Operator) -> tuple[Constant, ...]:
    """The constant tensors among the inputs of an operator, named by their position."""
    operands = [(position, graph.tensors[index]) for position, index in enumerate(op.inputs)]
    return tuple(
        Constant(f"inputs{position}", C_TYPES[tensor.dtype], tensor.data.reshape(-1))
        for position, tensor in operands
        if tensor.data is not None
    )


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One call of a kernel.

    Attributes:
        arguments: C expressions; ``{in0}``, ``{in1}`` (by position among the operator's inputs), ``{out}``,
            ``{scratch}`` stand for typed arena addresses, ``{inputs}`` and ``{outputs}`` for tables of all of them,
            ``{params}`` for the address of the parameters, ``{suffix}`` for a constant of this call.
        params: C type and designated initialisers (``@suffix`` refers to a constant of this call).
        weight_bytes: bytes of weights and biases among the constants.
        work: how often the kernel does what its cost consists of; the names are those of the cost table.
        lag_bytes: by how much the output must start before the first input where both share memory; None where
            they must not.
        repeats: how many times it is called, for equal parts of ``{in0}`` and ``{out}`` that follow each other.
    """

    function: str
    arguments: tuple[str, ...]
    params: tuple[str, Mapping[str, Any]] | None = None
    constants: tuple[Constant, ...] = ()
    scratch_bytes: int = 0
    weight_bytes: int = 0
    work: Mapping[str, int] = field(default_factory=dict)
    lag_bytes: int | None = None
    repeats: int = 1


def window_fields(
    source: Tensor, out: Tensor, kernel: tuple[int, int], attributes: Mapping[str, Any]
) -> dict[str, int]:
    """Initialisers of ``crest_window``."""
    _, in_h, in_w, in_c = source.shape
    _, out_h, out_w, out_c = out.shape
    top, _, left, _ = attributes["padding"]
    return {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
        "k_h": kernel[0], "k_w": kernel[1],
        "stride_h": attributes["strides"][0], "stride_w": attributes["strides"][1],
        "dilation_h": attributes["dilation"][0], "dilation_w": attributes["dilation"][1],
        "pad_top": top, "pad_left": left,
    }  # fmt: skip


def dense_window(units: int, depth: int) -> dict[str, int]:
    """Initialisers of ``crest_window`` for a dense layer, which is a convolution of one position."""
    names = ("in_h", "in_w", "out_h", "out_w", "k_h", "k_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    return {**dict.fromkeys(names, 1), "in_c": depth, "out_c": units, "pad_top": 0, "pad_left": 0}


def c_float(value: float) -> str:
    """A float32 literal that reads back exactly."""
    text = repr(float(np.float32(value)))
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"
