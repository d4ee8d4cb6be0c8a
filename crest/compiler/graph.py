"""The compiler's graph: tensors with quantization, operators with attributes, in execution order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DType = Literal["int8", "int16", "int32", "int64", "float32"]
ELEMENT_BYTES: Mapping[str, int] = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4}
# Types of quantized activations, and what they hold.
INTEGER_RANGES: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "int16": (-32768, 32767)}
ACTIVATION_TYPES = (*INTEGER_RANGES, "float32")


@dataclass(frozen=True)
class Quantization:
    """Affine quantization, ``real = scale * (q - zero_point)``; several scales belong to the channels of ``axis``."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph; ``data`` holds constants in their final layout (NHWC, filters OHWI)."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: NDArray[Any] | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape else 1

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""
        return self.elements * ELEMENT_BYTES[self.dtype]

    @property
    def scale(self) -> float:
        """The per-tensor scale."""
        if self.quantization is None:
            raise ValueError(f"tensor {self.name} is not quantized")
        return self.quantization.scale[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point; 0 for float tensors."""
        return self.quantization.zero_point[0] if self.quantization else 0


def output_channels(kind: str, filters: Tensor) -> int:
    """Output channels of a convolution or a dense layer: the last axis of depthwise filters, the first of others."""
    return filters.shape[3 if kind == "DEPTHWISE_CONV_2D" else 0]


def requantization_factors(source: Tensor, filters: Tensor, out: Tensor, units: int) -> list[float]:
    """By output channel, the real number that brings a sum of products to the scale of the output."""
    assert filters.quantization is not None
    scales = filters.quantization.scale
    return [source.scale * scale / out.scale for scale in (scales if len(scales) == units else scales * units)]


@dataclass(frozen=True)
class Operator:
    """One operator: indices of its tensors (-1 for an absent optional input) and its attributes."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def with_attributes(self, **changes: Any) -> Operator:
        """A copy with some attributes replaced or added."""
        return replace(self, attributes={**self.attributes, **changes})


@dataclass(frozen=True)
class Graph:
    """Tensors by index, operators in execution order, and the indices of inputs and outputs.

    Attributes:
        tflite: the file that the graph was imported from, whatever passes have made of it; empty without one.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tflite: bytes = field(default=b"", repr=False, compare=False)

    def histogram(self) -> dict[str, int]:
        """How many operators of each kind."""
        return dict(Counter(op.kind for op in self.operators))

    def constants(self) -> Iterable[Tensor]:
        """Constant tensors that an operator reads, each once."""
        used = sorted({index for op in self.operators for index in op.inputs if index >= 0})
        return (self.tensors[index] for index in used if self.tensors[index].data is not None)

    def consumers(self, index: int) -> list[int]:
        """Positions of the operators that read a tensor."""
        return [position for position, op in enumerate(self.operators) if index in op.inputs]

    def activations(self, op: Operator) -> list[int]:
        """The inputs of an operator that are no constants."""
        return [index for index in op.inputs if index >= 0 and self.tensors[index].data is None]

    def topology(self) -> str:
        """Operators, shapes and types as canonical JSON: no names, no weights, no scales."""
        facts = {
            "tensors": [[t.shape, t.dtype, t.data is not None] for t in self.tensors],
            "operators": [[op.kind, op.inputs, op.outputs, dict(op.attributes)] for op in self.operators],
            "inputs": self.inputs,
            "outputs": self.outputs,
        }
        return json.dumps(facts, sort_keys=True)

    def macs(self, op: Operator) -> int:
        """Multiply-accumulates of an operator, as nominally defined (padding taps counted)."""
        output = self.tensors[op.outputs[0]]
        if op.kind == "CONV_2D":
            _, k_h, k_w, in_c = self.tensors[op.inputs[1]].shape
            return output.elements * k_h * k_w * in_c
        if op.kind == "DEPTHWISE_CONV_2D":
            _, k_h, k_w, _ = self.tensors[op.inputs[1]].shape
            return output.elements * k_h * k_w
        if op.kind == "FULLY_CONNECTED":
            return output.elements * self.tensors[op.inputs[1]].shape[1]
        return 0
