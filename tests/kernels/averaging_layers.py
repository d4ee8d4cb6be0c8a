"""Generated pools, means and softmaxes."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.kernels.registry import Draw, one_operator, quantized, register, shape_of
from tests.tflite_writer import TensorSpec


def pool(draw: Draw, kind: str, dtype: str) -> bytes:
    _, h, w, channels = shape_of(draw)
    kernel = [h, w] if draw.chance(0.2) else [draw.randint(1, 5), draw.randint(1, 5)]
    same = draw.chance(0.5)
    if not same:
        kernel = [min(kernel[0], h), min(kernel[1], w)]
    stride = [draw.randint(1, 3), draw.randint(1, 3)]
    reach = [size if same else size - k + 1 for size, k in zip((h, w), kernel, strict=True)]
    out = [-(-r // s) for r, s in zip(reach, stride, strict=True)]
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "filter_h": kernel[0],
        "filter_w": kernel[1], "activation": draw.activation(),
    }  # fmt: skip
    q = quantized(draw, dtype, draw.scale(1e-3, 1.0))
    tensors = [TensorSpec((1, h, w, channels), dtype, **q), TensorSpec((1, *out, channels), dtype, **q)]
    return one_operator(kind, tensors, options=options)


def mean(draw: Draw, dtype: str) -> bytes:
    shape = shape_of(draw)
    axes = draw.choice(((1, 2), (2, 1), (-3, -2), (1,), (2,), (3,), (1, 2, 3)))
    keep = draw.chance(0.5)
    averaged = {axis % 4 for axis in axes}
    out = tuple(1 if i in averaged else size for i, size in enumerate(shape) if keep or i not in averaged)
    source = draw.scale(1e-3, 0.5)
    tensors = [
        TensorSpec(shape, dtype, **quantized(draw, dtype, source)),
        TensorSpec(out, dtype, **quantized(draw, dtype, source * draw.scale(0.05, 4.0))),
    ]
    constants = [TensorSpec((len(axes),), "int32", data=np.array(axes, np.int32))]
    return one_operator("MEAN", tensors, constants, {"keep_dims": keep})


def softmax(draw: Draw, dtype: str) -> bytes:
    shape = (draw.size(5), draw.choice((1, 2, 3, 4, 10, 12, 35, 100, draw.randint(1, 300))))
    scales = (1e-6, 0.02) if dtype == "int16" else (1e-4, 1.5)
    tensors = [TensorSpec(shape, dtype, **quantized(draw, dtype, draw.scale(*scales)))]
    fixed = {"int8": {"scale": [1 / 256], "zero_point": [-128]}, "int16": {"scale": [1 / 32768]}}
    tensors.append(TensorSpec(shape, dtype, **fixed.get(dtype, {})))
    beta = draw.choice((1.0, 1.0, 0.5, 2.0, draw.scale(0.1, 10.0)))
    return one_operator("SOFTMAX", tensors, options={"beta": beta})


for suffix, dtype in {"s8": "int8", "s16": "int16", "f32": "float32"}.items():
    register(f"max_pool_{suffix}", partial(pool, kind="MAX_POOL_2D", dtype=dtype))
    register(f"average_pool_{suffix}", partial(pool, kind="AVERAGE_POOL_2D", dtype=dtype))
    register(f"mean_{suffix}", partial(mean, dtype=dtype))
    register(f"softmax_{suffix}", partial(softmax, dtype=dtype))
