"""Small models that several tests share."""

from __future__ import annotations

import numpy as np

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
