"""One small model for each family of operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


class Chain:
    """Collects tensors and operators of a model whose operators follow each other."""

    def __init__(self) -> None:
        self.tensors: list[TensorSpec] = []
        self.ops: list[OpSpec] = []

    def tensor(self, shape: tuple[int, ...], scale: float | None = 0.05, zero_point: int = 2, **more: Any) -> int:
        """An int8 tensor, or float32 without a scale."""
        if scale is None:
            self.tensors.append(TensorSpec(shape, "float32", **more))
        else:
            self.tensors.append(TensorSpec(shape, scale=[float(np.float32(scale))], zero_point=[zero_point], **more))
        return len(self.tensors) - 1

    def ints(self, *values: Any) -> int:
        """A constant of whole numbers."""
        array = np.array(values, np.int32)
        self.tensors.append(TensorSpec(array.shape, "int32", data=array))
        return len(self.tensors) - 1

    def op(self, kind: str, inputs: list[int], *outputs: int, version: int = 2, **options: Any) -> int:
        """An operator; returns its first output."""
        self.ops.append(OpSpec(kind, inputs, list(outputs), options, version))
        return outputs[0]

    def model(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file."""
        return write_tflite(self.tensors, self.ops, inputs, outputs)


def elementwise_model() -> bytes:
    """Sums, products, functions of one operand: int8."""
    rng = np.random.default_rng(0)
    m, shape = Chain(), (1, 3, 5, 7)
    x = m.tensor(shape, 0.0312, -5)
    gate = m.op("LOGISTIC", [x], m.tensor(shape, 1 / 256, -128))
    gated = m.op("MUL", [x, gate], m.tensor(shape, 0.0278, -6), activation="relu6")
    bias = m.tensor((7,), 0.0213, 3, data=rng.integers(-128, 128, 7, dtype=np.int8))
    moved = m.op("ADD", [bias, gated], m.tensor(shape, 0.0431, 11))
    leaky = m.op("LEAKY_RELU", [moved], m.tensor(shape, 0.0387, -60), alpha=0.3)
    # Equal scales and one of twice their size: the steps of the reference.
    alike = m.op("QUANTIZE", [leaky], m.tensor(shape, 0.0312, 0))
    tied = m.op("SUB", [x, alike], m.tensor(shape, 0.0624, 4))
    swish = m.op("HARD_SWISH", [tied], m.tensor(shape, 0.05, -100), version=1)
    mean = m.op("MEAN", [swish, m.ints(1, 2)], m.tensor((1, 1, 1, 7), 0.04, -90), keep_dims=True)
    scaled = m.op("MUL", [mean, swish], m.tensor(shape, 0.1, -20))
    summed = m.op("ADD", [scaled, moved], m.tensor(shape, 0.0912, 1), activation="relu")
    tanh = m.op("TANH", [summed], m.tensor(shape, 1 / 128, 0))
    return m.model([x], [m.op("RELU6", [tanh], m.tensor(shape, 1 / 128, 0)), tied])


def moves_model() -> bytes:
    """Joins, splits, transpositions, slices, batches: int8."""
    rng = np.random.default_rng(1)
    m = Chain()
    x = m.tensor((1, 6, 8))
    left, right = m.tensor((1, 6, 3)), m.tensor((1, 6, 5))
    m.op("SPLIT_V", [x, m.ints(3, 5), m.ints(2)], left, right, num_splits=2)
    turned = m.op("TRANSPOSE", [right, m.ints(2, 1, 0)], m.tensor((5, 6, 1)))
    constant = m.tensor((1, 6, 2), data=rng.integers(-128, 128, (1, 6, 2), dtype=np.int8))
    wide = m.op("CONCATENATION", [right, constant, left], m.tensor((1, 6, 10)), axis=2)
    halves = [m.tensor((1, 6, 5)) for _ in range(2)]
    m.op("SPLIT", [m.ints(2), wide], *halves, num_splits=2)
    stacked = m.op("PACK", [halves[1], right, halves[0]], m.tensor((1, 3, 6, 5)), values_count=3, axis=1)
    cut = m.op("SLICE", [stacked, m.ints(0, 1, 1, 2), m.ints(1, 2, 4, 3)], m.tensor((1, 2, 4, 3)))
    spread = m.op("SPACE_TO_BATCH_ND", [cut, m.ints(2, 2), m.ints((0, 0), (0, 0))], m.tensor((4, 1, 2, 3)))
    filters = m.tensor((4, 1, 2, 3), 0.01, 0, data=rng.integers(-127, 128, (4, 1, 2, 3), dtype=np.int8))
    mixed = m.op("CONV_2D", [spread, filters, -1], m.tensor((4, 1, 1, 4), 0.06, 1), version=3, padding=1)
    back = m.op("BATCH_TO_SPACE_ND", [mixed, m.ints(2, 2), m.ints((0, 0), (0, 1))], m.tensor((1, 2, 1, 4), 0.06, 1))
    rows = [m.tensor((1, 1, 4), 0.06, 1) for _ in range(2)]
    m.op("UNPACK", [back], *rows, num=2, axis=1)
    return m.model([x], [turned, *rows])


def float_model() -> bytes:
    """The same operators of float32, from and to int8."""
    rng = np.random.default_rng(2)
    m, shape = Chain(), (1, 4, 6)
    x = m.tensor(shape, 0.03, -7)
    real = m.op("DEQUANTIZE", [x], m.tensor(shape, None))
    bias = m.tensor((6,), None, data=rng.standard_normal(6).astype(np.float32))
    moved = m.op("SUB", [bias, real], m.tensor(shape, None), version=1)
    gate = m.op("LOGISTIC", [moved], m.tensor(shape, None), version=1)
    gated = m.op("MUL", [gate, real], m.tensor(shape, None), version=1, activation="relu_n1_to_1")
    leaky = m.op("LEAKY_RELU", [gated], m.tensor(shape, None), version=1, alpha=0.1)
    parts = [m.tensor((1, 2, 6), None) for _ in range(2)]
    m.op("SPLIT", [m.ints(1), leaky], *parts, version=1, num_splits=2)
    joined = m.op("CONCATENATION", [parts[1], parts[0]], m.tensor((1, 2, 12), None), version=1, axis=2)
    turned = m.op("TRANSPOSE", [joined, m.ints(0, 2, 1)], m.tensor((1, 12, 2), None), version=1)
    tanh = m.op("TANH", [turned], m.tensor((1, 12, 2), None), version=1)
    swish = m.op("HARD_SWISH", [tanh], m.tensor((1, 12, 2), None), version=1)
    return m.model([x], [m.op("QUANTIZE", [swish], m.tensor((1, 12, 2), 0.005, 3), version=1)])
