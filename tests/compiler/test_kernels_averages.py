"""Pools, means and softmax against TFLM's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.importer import import_tflite
from crest.errors import ModelError
from tests.kernel_cases import CASES, activations, check, scales, seeds, zero_points
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

dtypes = st.sampled_from(["int8", "int8", "float32"])


@st.composite
def pools(draw):
    h, w, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    same = draw(st.booleans())
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    if draw(st.booleans()):
        kernel = [h, w]
    if not same:
        kernel = [min(kernel[0], h), min(kernel[1], w)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    reach = [size if same else size - k + 1 for size, k in zip((h, w), kernel, strict=True)]
    size = [-(-r // s) for r, s in zip(reach, stride, strict=True)]
    dtype = draw(dtypes)
    quantized = {"scale": [0.05], "zero_point": [draw(zero_points)]} if dtype == "int8" else {}
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "filter_h": kernel[0],
        "filter_w": kernel[1], "activation": draw(activations),
    }  # fmt: skip
    tensors = [
        TensorSpec((1, h, w, channels), dtype, **quantized),
        TensorSpec((1, *size, channels), dtype, **quantized),
    ]
    return tensors, options


@settings(max_examples=20, deadline=None)
@given(seeds, pools())
def test_average_pool_equals(seed, case):
    tensors, options = case
    check(write_tflite(tensors, [OpSpec("AVERAGE_POOL_2D", [0], [1], options, version=2)], [0], [1]), seed)


@CASES
@given(seeds, pools())
def test_max_pool_with_padding_equals(seed, case):
    tensors, options = case
    check(write_tflite(tensors, [OpSpec("MAX_POOL_2D", [0], [1], options, version=2)], [0], [1]), seed)


@settings(max_examples=20, deadline=None)
@given(
    seeds, st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9)),
    st.sampled_from([(1, 2), (2, 1), (-3, -2), (1,), (2,), (3,), (1, 2, 3)]), st.booleans(), dtypes, zero_points,
    zero_points,
)  # fmt: skip
def test_mean_equals(seed, sizes, axes, keep_dims, dtype, in_zp, out_zp):
    rng = np.random.default_rng(seed)
    averaged = {axis % 4 for axis in axes}
    shape = (1, *sizes)
    kept = tuple(1 if i in averaged else s for i, s in enumerate(shape))
    out_shape = kept if keep_dims else tuple(s for i, s in enumerate(shape) if i not in averaged)
    in_scale = scales(rng, 1, 1e-3, 0.5)
    out_scale = [float(np.float32(in_scale[0] * np.exp(rng.uniform(np.log(0.05), np.log(4)))))]
    quantized = [{}, {}]
    if dtype == "int8":
        quantized = [{"scale": in_scale, "zero_point": [in_zp]}, {"scale": out_scale, "zero_point": [out_zp]}]
    tensors = [
        TensorSpec(shape, dtype, **quantized[0]),
        TensorSpec((len(axes),), "int32", data=np.array(axes, np.int32)),
        TensorSpec(out_shape, dtype, **quantized[1]),
    ]
    op = OpSpec("MEAN", [0, 1], [2], {"keep_dims": keep_dims}, version=2)
    check(write_tflite(tensors, [op], [0], [2]), seed)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 40), st.sampled_from([1.0, 1.0, 0.5, 2.0]), dtypes, zero_points)
def test_softmax_equals(seed, rows, depth, beta, dtype, in_zp):
    rng = np.random.default_rng(seed)
    quantized = [{}, {}]
    if dtype == "int8":
        quantized = [
            {"scale": scales(rng, 1, 1e-4, 2.0), "zero_point": [in_zp]},
            {"scale": [1 / 256], "zero_point": [-128]},
        ]
    tensors = [TensorSpec((rows, depth), dtype, **quantized[0]), TensorSpec((rows, depth), dtype, **quantized[1])]
    check(write_tflite(tensors, [OpSpec("SOFTMAX", [0], [1], {"beta": beta}, version=2)], [0], [1]), seed, runs=6)


def test_axes_that_are_no_neighbours_are_refused():
    tensors = [
        TensorSpec((1, 2, 3, 4), "float32"),
        TensorSpec((2,), "int32", data=np.array([1, 3], np.int32)),
        TensorSpec((1, 3), "float32"),
    ]
    with pytest.raises(ModelError, match=r"operator 0 \(MEAN version 2\): axes must be neighbours"):
        import_tflite(write_tflite(tensors, [OpSpec("MEAN", [0, 1], [2], version=2)], [0], [2]))
