"""Sums, products, activations and changes of scale against TFLM's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.binary_arithmetic import AddInt8
from crest.compiler.build import lower_graph
from crest.compiler.graph import Operator, Quantization, Tensor
from crest.compiler.importer import import_tflite
from crest.errors import ModelError
from tests.kernel_cases import CASES, activations, check, check_inputs, scales, seeds, zero_points
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

dtypes = st.sampled_from(["int8", "int8", "float32"])
kinds = st.sampled_from(["ADD", "SUB", "MUL"])
fused = st.one_of(activations, st.just("relu_n1_to_1"))
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)


def quantized(dtype, scale, zero_point):
    return {"scale": [float(np.float32(scale))], "zero_point": [zero_point]} if dtype == "int8" else {}


@st.composite
def operand_shapes(draw):
    """Two shapes that broadcast, and what they make."""
    out = [draw(st.integers(1, 5)) for _ in range(draw(st.integers(1, 4)))]
    shapes = []
    for _ in range(2):
        shape = [size if draw(st.integers(0, 3)) else 1 for size in out]
        # TFLM wants equal ranks or shapes that it can extend.
        shapes.append(tuple(shape[draw(st.integers(0, len(shape) - 1)) :] if draw(st.booleans()) else shape))
    if draw(st.booleans()):
        shapes = [tuple(out), tuple(out)]
    return (*shapes, tuple(int(size) for size in np.broadcast_shapes(*shapes)))


@st.composite
def binaries(draw):
    """An operator of two operands, one of them constant at times."""
    rng = np.random.default_rng(draw(seeds))
    kind, dtype, (left, right, out) = draw(kinds), draw(dtypes), draw(operand_shapes())
    left_scale, right_scale = scales(rng, 2, 1e-3, 0.5)
    factor = 100 * min(left_scale, right_scale) if kind == "MUL" else 1
    out_scale = max(left_scale, right_scale) * factor * np.exp(rng.uniform(np.log(0.3), np.log(3)))
    tensors = [
        TensorSpec(left, dtype, **quantized(dtype, left_scale, draw(zero_points))),
        TensorSpec(right, dtype, **quantized(dtype, right_scale, draw(zero_points))),
        TensorSpec(out, dtype, **quantized(dtype, out_scale, draw(zero_points))),
    ]
    constant = draw(st.sampled_from([None, None, 0, 1]))
    if constant is not None:
        shape = tensors[constant].shape
        values = rng.integers(-128, 128, shape) if dtype == "int8" else rng.standard_normal(shape)
        tensors[constant].data = values.astype(dtype)
    inputs = [i for i in (0, 1) if i != constant]
    op = OpSpec(kind, [0, 1], [2], {"activation": draw(fused)}, version=2)
    return write_tflite(tensors, [op], inputs, [2]), draw(seeds)


@settings(max_examples=80, deadline=None)
@given(binaries())
def test_sums_and_products_equal(case):
    check(*case)


def add_model(left, right, out, activation="none", n=65536, kind="ADD"):
    """Scale and zero point of each tensor."""
    tensors = [TensorSpec((1, n), **quantized("int8", *each)) for each in (left, right, out)]
    return write_tflite(tensors, [OpSpec(kind, [0, 1], [2], {"activation": activation}, version=2)], [0, 1], [2])


def function_of(model):
    (call,) = lower_graph(import_tflite(model)).calls
    return call.function


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("activation", ["none", "relu6"])
def test_the_linear_formula_equals_for_all_pairs(kind, activation):
    model = add_model((0.0321476, -3), (0.0123153, 17), (0.0456871, -40), activation, n=256 * 64, kind=kind)
    assert function_of(model) == "crest_sum_s8"
    pairs = [EVERY_INT8.repeat(256).reshape(4, 1, -1), np.tile(EVERY_INT8, 256).reshape(4, 1, -1)]
    check_inputs(model, [[pairs[0][i], pairs[1][i]] for i in range(4)])


def test_scales_with_ties_of_both_signs_take_the_steps_of_the_reference():
    """Half of all sums lie between two outputs, and the reference rounds those away from zero."""
    model = add_model((0.1, 3), (0.1, -5), (0.2, 0), n=256 * 64)
    assert function_of(model) == "crest_add_s8"
    check(model, 0)


@settings(max_examples=200, deadline=None)
@given(seeds, zero_points, zero_points, zero_points, fused, st.sampled_from(["ADD", "SUB"]))
def test_a_linear_formula_is_almost_always_found_and_never_wrong(seed, left_zp, right_zp, out_zp, activation, kind):
    rng = np.random.default_rng(seed)
    left, right = scales(rng, 2, 1e-3, 0.5)
    out = float(np.float32(max(left, right) * rng.uniform(0.3, 3)))
    tensors = [
        Tensor("", (1,), "int8", Quantization((scale,), (zero_point,)))
        for scale, zero_point in ((left, left_zp), (right, right_zp), (out, out_zp))
    ]
    arithmetic = AddInt8.of(Operator(kind, (0, 1), (2,), {"activation": activation}), *tensors)
    linear = arithmetic.linear()
    if linear is None:
        return
    values = EVERY_INT8.astype(np.int64)
    left_terms, right_terms = (values * linear[f"{side}_factor"] >> 8 for side in ("left", "right"))
    sums = left_terms[:, None] + right_terms + linear["offset"]
    assert np.abs(sums).max() < 2**31
    expected = arithmetic.compute(values[:, None], values[None, :])
    np.testing.assert_array_equal(np.clip(sums >> 21, linear["act_min"], linear["act_max"]), expected)


UNARY = {
    "RELU": ((1e-2, 0.2), None),
    "RELU6": ((1e-2, 0.2), None),
    "LEAKY_RELU": ((1e-2, 0.2), None),
    "HARD_SWISH": ((1e-3, 0.3), None),
    "LOGISTIC": ((1e-5, 2.0), (1 / 256, -128)),
    "TANH": ((1e-5, 2.0), (1 / 128, 0)),
    "QUANTIZE": ((1e-3, 0.5), None),
}


@pytest.mark.parametrize("kind", UNARY)
@settings(max_examples=20, deadline=None)
@given(seed=seeds, in_zp=zero_points, out_zp=zero_points, alpha=st.floats(0, 1.5, width=32))
def test_int8_functions_are_exact_for_every_input(kind, seed, in_zp, out_zp, alpha):
    rng = np.random.default_rng(seed)
    (low, high), fixed = UNARY[kind]
    in_scale = scales(rng, 1, low, high)[0]
    out = fixed or (in_scale * np.exp(rng.uniform(np.log(0.2), np.log(4))), out_zp)
    tensors = [TensorSpec((1, 256), **quantized("int8", *each)) for each in ((in_scale, in_zp), out)]
    op = OpSpec(kind, [0], [1], {"alpha": alpha}, version=1 if kind == "HARD_SWISH" else 2)
    check_inputs(write_tflite(tensors, [op], [0], [1]), [[EVERY_INT8.reshape(1, 256)]])


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"])
@settings(max_examples=8, deadline=None)
@given(
    seed=seeds, n=st.integers(1, 40), spread=st.sampled_from([0.01, 1.0, 5.0, 40.0]), alpha=st.floats(0, 1, width=32)
)
def test_float32_functions_are_close(kind, seed, n, spread, alpha):
    tensors = [TensorSpec((1, n), "float32"), TensorSpec((1, n), "float32")]
    model = write_tflite(tensors, [OpSpec(kind, [0], [1], {"alpha": alpha})], [0], [1])
    rng = np.random.default_rng(seed)
    check_inputs(model, [[(rng.standard_normal((1, n)) * spread).astype(np.float32)] for _ in range(3)])


@CASES
@given(seeds, zero_points, st.integers(1, 99))
def test_quantize_from_float32_is_exact(seed, zero_point, n):
    rng = np.random.default_rng(seed)
    scale = scales(rng, 1, 1e-3, 10)[0]
    tensors = [TensorSpec((1, n), "float32"), TensorSpec((1, n), **quantized("int8", scale, zero_point))]
    model = write_tflite(tensors, [OpSpec("QUANTIZE", [0], [1])], [0], [1])
    # Values at, and beside, the middle between two integers.
    halves = (rng.integers(-200, 200, (1, n)) + np.float32(0.5)) * np.float32(scale)
    beside = np.nextafter(halves, rng.choice([-np.inf, np.inf], (1, n)).astype(np.float32))
    wide = (rng.standard_normal((1, n)) * scale * 300).astype(np.float32)
    check_inputs(model, [[x.astype(np.float32)] for x in (halves, beside, wide)])


@CASES
@given(seeds, zero_points)
def test_dequantize_is_close(seed, zero_point):
    scale = scales(np.random.default_rng(seed), 1, 1e-4, 10)[0]
    tensors = [TensorSpec((1, 256), **quantized("int8", scale, zero_point)), TensorSpec((1, 256), "float32")]
    model = write_tflite(tensors, [OpSpec("DEQUANTIZE", [0], [1], version=2)], [0], [1])
    check_inputs(model, [[EVERY_INT8.reshape(1, 256)]])


def test_a_constant_number_makes_the_sum_a_table():
    tensors = [
        TensorSpec((), **quantized("int8", 0.1, 0), data=np.array(5, np.int8)),
        TensorSpec((1, 3, 7), **quantized("int8", 0.2, 4)),
        TensorSpec((1, 3, 7), **quantized("int8", 0.2, -4)),
    ]
    model = write_tflite(tensors, [OpSpec("SUB", [0, 1], [2], version=2)], [1], [2])
    assert function_of(model) == "crest_lookup_s8"
    check(model, 0)


def test_malformed_operators_are_refused_with_index_and_name():
    q = {"scale": [0.1], "zero_point": [0]}
    eight, float32 = TensorSpec((1, 4), **q), TensorSpec((1, 4), "float32")
    four = TensorSpec((4,), data=np.zeros(4, np.int8), **q)
    place = r"operator 0 \(%s version 2\): "
    for op, tensors, problem in (
        (OpSpec("ADD", [0, 1], [2], version=2), [eight, TensorSpec((1, 3), **q), eight], "do not broadcast"),
        (OpSpec("ADD", [0, 1], [2], version=2), [eight, four, TensorSpec((2, 4), **q)], r"output shape \[2, 4\]"),
        (OpSpec("MUL", [0, 1], [2], version=2), [eight, TensorSpec((4,), "float32"), eight], "types must be equal"),
        (OpSpec("MUL", [1, 1], [2], version=2), [eight, four, eight], "all of its inputs are constant"),
        (OpSpec("SUB", [0, 1], [2], version=2), [TensorSpec((1, 4)), four, eight], "int8 without quantization"),
        (OpSpec("LOGISTIC", [0], [1], version=2), [eight, eight], "output must have scale 1/256 and zero point -128"),
        (OpSpec("TANH", [0], [1], version=2), [eight, eight], "output must have scale 1/128 and zero point 0"),
        (OpSpec("RELU", [0], [1], version=2), [eight, TensorSpec((1, 5), **q)], "contradicts"),
        (OpSpec("LEAKY_RELU", [0], [1], {"alpha": -0.5}, version=2), [eight, eight], "alpha must not be negative"),
        (OpSpec("QUANTIZE", [0], [1], version=2), [eight, float32], "float32 where quantized int8 is needed"),
        (OpSpec("DEQUANTIZE", [0], [1], version=2), [float32, float32], "float32 where quantized int8 is needed"),
        (OpSpec("DEQUANTIZE", [0], [1], version=2), [eight, eight], "output of type int8"),
    ):
        inputs = [i for i in range(len(tensors)) if tensors[i].data is None and i not in op.outputs]
        with pytest.raises(ModelError, match=place % op.kind + ".*" + problem):
            import_tflite(write_tflite(tensors, [op], inputs or [0], op.outputs))


def test_what_kernels_cannot_do_is_refused_with_its_name():
    with pytest.raises(ModelError, match="model: ADD t2: output scale is too small for its inputs"):
        lower_graph(import_tflite(add_model((1.0, 0), (1.0, 0), (1e-6, 0), n=4)))
    tensors = [TensorSpec((2, 3, 2, 3, 2), "float32"), TensorSpec((1, 3, 1, 3, 1), "float32")]
    op = OpSpec("ADD", [0, 1], [2])
    with pytest.raises(ModelError, match="model: ADD t2: its 5 axes do not merge to 4"):
        lower_graph(import_tflite(write_tflite([*tensors, tensors[0]], [op], [0, 1], [2])))
