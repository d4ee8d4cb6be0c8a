"""Small models that several tests share."""

from __future__ import annotations

import numpy as np

from tests.model_writer import ModelWriter
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


def dense_model(depth: int = 12, units: int = 5, version: int = 4, seed: int = 0) -> bytes:
    """One FULLY_CONNECTED of int8."""
    rng = np.random.default_rng(seed)
    tensors = [
        TensorSpec((1, depth), scale=[0.05], zero_point=[3]),
        TensorSpec((units, depth), scale=[0.01], data=rng.integers(-127, 128, (units, depth), dtype=np.int8)),
        TensorSpec((units,), "int32", scale=[0.0005], data=rng.integers(-999, 999, units).astype(np.int32)),
        TensorSpec((1, units), scale=[0.1], zero_point=[-4]),
    ]
    return write_tflite(tensors, [OpSpec("FULLY_CONNECTED", [0, 1, 2], [3], version=version)], [0], [3])


def residual_model(length: int = 20, channels: int = 6, seed: int = 0) -> bytes:
    """PAD, CONV_2D, CONV_2D, ADD, last step, RESHAPE, FULLY_CONNECTED: the shape of a temporal network."""
    rng = np.random.default_rng(seed)
    q = {"scale": [0.05], "zero_point": [2]}

    def weights(*shape: int) -> TensorSpec:
        scales = [float(np.float32(s)) for s in rng.uniform(0.002, 0.01, shape[0])]
        return TensorSpec(shape, scale=scales, data=rng.integers(-127, 128, shape, dtype=np.int8))

    def bias(n: int) -> TensorSpec:
        return TensorSpec((n,), "int32", scale=[0.0005] * n, data=rng.integers(-500, 500, n).astype(np.int32))

    def ints(*values: int) -> TensorSpec:
        return TensorSpec((len(values),), "int32", data=np.array(values, np.int32))

    c = channels
    tensors = [
        TensorSpec((1, 1, length, c), **q),  # 0 input
        TensorSpec((4, 2), "int32", data=np.array([[0, 0], [0, 0], [2, 0], [0, 0]], np.int32)),
        TensorSpec((1, 1, length + 2, c), **q),
        weights(c, 1, 3, c), bias(c), TensorSpec((1, 1, length, c), **q),  # 5
        weights(c, 1, 1, c), bias(c), TensorSpec((1, 1, length, c), **q),  # 8
        TensorSpec((1, 1, length, c), **q),  # 9 sum
        ints(0, 0, length - 1, 0), ints(1, 1, length, c), ints(1, 1, 1, 1),
        TensorSpec((1, 1, 1, c), **q),  # 13 last step
        ints(1, c), TensorSpec((1, c), **q),  # 15
        weights(2, c), bias(2), TensorSpec((1, 2), **q),  # 18
    ]  # fmt: skip
    ops = [
        OpSpec("PAD", [0, 1], [2], version=2),
        OpSpec("CONV_2D", [2, 3, 4], [5], {"activation": "relu"}, version=3),
        OpSpec("CONV_2D", [0, 6, 7], [8], version=3),
        OpSpec("ADD", [5, 8], [9], {"activation": "relu"}, version=2),
        OpSpec("STRIDED_SLICE", [9, 10, 11, 12], [13], version=2),
        OpSpec("RESHAPE", [13, 14], [15]),
        OpSpec("FULLY_CONNECTED", [15, 16, 17], [18], version=4),
    ]
    return write_tflite(tensors, ops, [0], [18])


def full_length_tcn(
    steps: int = 64,
    channels: int = 3,
    filters: int = 5,
    kernel: int = 3,
    dilations: tuple[int, ...] = (1, 2, 4, 8),
    skips: bool = False,
    seed: int = 0,
) -> bytes:
    """A temporal network as converters export it: every time step is computed, a slice takes the last one.

    Tensors have three dimensions, as a Conv1D has; each convolution is PAD, RESHAPE, CONV_2D, RESHAPE.
    """
    writer = ModelWriter(np.random.default_rng(seed))

    def causal(x: int, dilation: int) -> int:
        padded = writer.pad(x, ((0, 0), ((kernel - 1) * dilation, 0), (0, 0)))
        wide = writer.reshape(padded, (1, 1, *writer.shape(padded)[1:]))
        convolved = writer.conv(wide, filters, (1, kernel), dilation=(1, dilation), activation="relu")
        return writer.reshape(convolved, (1, steps, filters))

    def match(x: int) -> int:
        wide = writer.reshape(x, (1, 1, *writer.shape(x)[1:]))
        return writer.reshape(writer.conv(wide, filters), (1, steps, filters))

    x = source = writer.activation((1, steps, channels))
    total = None
    for dilation in dilations:
        convolved = causal(causal(x, dilation), dilation)
        total = convolved if total is None else writer.add(total, convolved)
        x = writer.add(match(x) if writer.shape(x)[2] != filters else x, convolved, "relu")
    x = total if skips else x
    last = writer.slice(x, (0, steps - 1, 0), (1, steps, filters), shrink=(1,))
    return writer.model([source], [writer.dense(last, 2)])
