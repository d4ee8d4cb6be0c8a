"""Writes small int8 networks straight into the compiler's graph: random weights, scales that keep activations alive."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.graph import Graph, Operator, Quantization, Tensor

# Of every activation: quantized values of about the same spread come out of a layer as go in.
_SCALE: Final = 0.05
_RELU_ZERO: Final = -128
_WEIGHT_MAX: Final = 127
# Standard deviation of integers that are spread evenly over int8.
_WEIGHT_SPREAD: Final = 73.0
# RELU leaves half of the mean square; what comes out at the end is to lie well inside of int8.
_RELU_GAIN: Final = math.sqrt(2)
_OUTPUT_GAIN: Final = 0.4
# A sum keeps the bits of both operands.
_SUM_SCALE: Final = 2 * _SCALE


class NetworkWriter:
    """Each method appends an operator and returns the index of its output; tensors are NHWC with batch 1.

    Args:
        name: of the network.
        rng: of weights and biases.
    """

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self._name = name
        self._rng = rng
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []

    def input(self, shape: tuple[int, ...]) -> int:
        """The input of the network."""
        return self._activation(shape, 0)

    def shape(self, x: int) -> tuple[int, ...]:
        """Shape of an activation."""
        return self._tensors[x].shape

    def conv(self, x: int, units: int, kernel: tuple[int, int] = (1, 1), stride: int = 1) -> int:
        """CONV_2D that keeps the extent, up to its stride along axes that the kernel spans, and RELU."""
        filters = (units, *kernel, self.shape(x)[3])
        return self._window("CONV_2D", x, filters, units, kernel, stride)

    def depthwise(self, x: int, kernel: tuple[int, int] = (3, 3), stride: int = 1) -> int:
        """DEPTHWISE_CONV_2D with as many channels as its input has, and RELU."""
        units = self.shape(x)[3]
        return self._window("DEPTHWISE_CONV_2D", x, (1, *kernel, units), units, kernel, stride)

    def dense(self, x: int, units: int, relu: bool = True) -> int:
        """FULLY_CONNECTED over all elements of an activation."""
        depth = self._tensors[x].elements
        out = self._activation((1, units), _RELU_ZERO if relu else 0)
        constants = self._weights(x, (units, depth), units, axis=0, gain=_RELU_GAIN if relu else _OUTPUT_GAIN)
        return self._append("FULLY_CONNECTED", (x, *constants), out, activation="relu" if relu else "none")

    def add(self, left: int, right: int) -> int:
        """ADD of two activations of one shape, and RELU."""
        out = self._activation(self.shape(left), _RELU_ZERO, _SUM_SCALE)
        return self._append("ADD", (left, right), out, activation="relu")

    def mean(self, x: int) -> int:
        """AVERAGE_POOL_2D over height and width."""
        source = self._tensors[x]
        kernel = (source.shape[1], source.shape[2])
        out = self._activation((1, 1, 1, source.shape[3]), source.zero_point, source.scale)
        return self._append(
            "AVERAGE_POOL_2D", (x,), out,
            kernel=kernel, strides=kernel, dilation=(1, 1), padding=(0, 0, 0, 0), activation="none",
        )  # fmt: skip

    def graph(self, output: int) -> Graph:
        """The network, from its first tensor to ``output``."""
        return Graph(self._name, tuple(self._tensors), tuple(self._operators), (0,), (output,))

    def _window(
        self, kind: str, x: int, filters: tuple[int, ...], units: int, kernel: tuple[int, int], stride: int
    ) -> int:
        strides = tuple(stride if size > 1 else 1 for size in kernel)
        extent = [-(-size // step) for size, step in zip(self.shape(x)[1:3], strides, strict=True)]
        before = [(size - 1) // 2 for size in kernel]
        # What the last position reaches beyond the input.
        behind = [
            max(0, (out - 1) * step + taps - pad - size)
            for out, step, taps, pad, size in zip(extent, strides, kernel, before, self.shape(x)[1:3], strict=True)
        ]
        out = self._activation((1, *extent, units), _RELU_ZERO)
        constants = self._weights(x, filters, units, axis=3 if kind == "DEPTHWISE_CONV_2D" else 0)
        return self._append(
            kind, (x, *constants), out,
            strides=strides, dilation=(1, 1), padding=(before[0], behind[0], before[1], behind[1]), activation="relu",
        )  # fmt: skip

    def _weights(
        self, x: int, shape: tuple[int, ...], units: int, axis: int, gain: float = _RELU_GAIN
    ) -> tuple[int, int]:
        """Filters and biases; the scales of the filters differ by channel."""
        source_scale, fan_in = self._tensors[x].scale, math.prod(shape) // units
        gain *= _SCALE / (source_scale * _WEIGHT_SPREAD * math.sqrt(fan_in))
        scales = self._rng.uniform(0.8, 1.25, units) * gain
        filters = self._rng.integers(-_WEIGHT_MAX, _WEIGHT_MAX + 1, shape, dtype=np.int8)
        biases = self._rng.integers(-1000, 1001, units).astype(np.int32)
        return (
            self._constant("filters", filters, "int8", scales, axis),
            self._constant("biases", biases, "int32", scales * source_scale, 0),
        )

    def _constant(self, role: str, data: NDArray[Any], dtype: Any, scales: NDArray[np.float64], axis: int) -> int:
        quantization = Quantization(tuple(scales.astype(np.float32).tolist()), (0,) * len(scales), axis)
        self._tensors.append(Tensor(f"{role}{len(self._tensors)}", data.shape, dtype, quantization, data))
        return len(self._tensors) - 1

    def _activation(self, shape: tuple[int, ...], zero_point: int, scale: float = _SCALE) -> int:
        quantization = Quantization((scale,), (zero_point,))
        self._tensors.append(Tensor(f"activation{len(self._tensors)}", shape, "int8", quantization))
        return len(self._tensors) - 1

    def _append(self, kind: str, inputs: tuple[int, ...], out: int, **attributes: Any) -> int:
        self._operators.append(Operator(kind, inputs, (out,), attributes))
        return out
