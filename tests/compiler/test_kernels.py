"""Every int8 kernel against TFLM's reference kernels, on generated shapes, scales, zero points and extreme values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.targets import load_target
from tests.kernel_cases import CASES, activations, check, convolutions, scales, seeds, weighted_model, zero_points
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

TARGET = load_target("nano33ble")


@CASES
@given(convolutions())
def test_conv2d_int8_is_bit_exact(case):
    check(*case)


@settings(max_examples=25, deadline=None)
@given(convolutions(depthwise=True))
def test_depthwise_int8_is_bit_exact(case):
    check(*case)


@settings(max_examples=15, deadline=None)
@given(convolutions("float32", depthwise=True))
def test_depthwise_float32_is_close(case):
    check(*case)


@settings(max_examples=15, deadline=None)
@given(convolutions("float32"))
def test_conv2d_float32_is_close(case):
    check(*case)


@CASES
@given(
    seeds, st.integers(1, 70), st.integers(1, 9), activations, st.booleans(), zero_points, zero_points, st.booleans()
)
def test_fully_connected_int8_is_bit_exact(seed, depth, units, activation, per_channel, in_zp, out_zp, has_bias):
    rng = np.random.default_rng(seed)
    model = weighted_model(
        rng, "FULLY_CONNECTED", (1, depth), (units, depth), (1, units), {"activation": activation}, "int8",
        per_channel, in_zp, out_zp, has_bias,
    )  # fmt: skip
    check(model, seed)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 40), st.integers(1, 9), activations)
def test_fully_connected_float32_is_close(seed, depth, units, activation):
    rng = np.random.default_rng(seed)
    options = {"activation": activation}
    check(
        weighted_model(
            rng, "FULLY_CONNECTED", (1, depth), (units, depth), (1, units), options, "float32", False, 0, 0, True
        ),
        seed,
    )


@CASES
@given(seeds, st.integers(1, 50), activations, zero_points, zero_points, zero_points)
def test_add_int8_is_bit_exact(seed, n, activation, left_zp, right_zp, out_zp):
    rng = np.random.default_rng(seed)
    left, right = scales(rng, 2, 1e-3, 0.5)
    out = float(np.float32(max(left, right) * rng.uniform(0.3, 3)))
    tensors = [
        TensorSpec((1, 1, n, 3), scale=[left], zero_point=[left_zp]),
        TensorSpec((1, 1, n, 3), scale=[right], zero_point=[right_zp]),
        TensorSpec((1, 1, n, 3), scale=[out], zero_point=[out_zp]),
    ]
    check(write_tflite(tensors, [OpSpec("ADD", [0, 1], [2], {"activation": activation}, version=2)], [0, 1], [2]), seed)


@CASES
@given(
    seeds, st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), activations,
    st.sampled_from(["int8", "float32"]),
)  # fmt: skip
def test_max_pool_equals(seed, h, w, k_h, k_w, stride, activation, dtype):
    k_h, k_w = min(k_h, h), min(k_w, w)
    out_shape = (1, (h - k_h) // stride + 1, (w - k_w) // stride + 1, 3)
    quantized = {"scale": [0.05], "zero_point": [-3]} if dtype == "int8" else {}
    tensors = [TensorSpec((1, h, w, 3), dtype, **quantized), TensorSpec(out_shape, dtype, **quantized)]
    options = {"stride_h": stride, "stride_w": stride, "filter_h": k_h, "filter_w": k_w, "activation": activation}
    check(write_tflite(tensors, [OpSpec("MAX_POOL_2D", [0], [1], options, version=2)], [0], [1]), seed)


@CASES
@given(seeds, st.integers(1, 40), zero_points, zero_points)
def test_relu_int8_is_bit_exact(seed, n, in_zp, out_zp):
    rng = np.random.default_rng(seed)
    scale_in, scale_out = scales(rng, 2, 1e-2, 0.2)
    tensors = [
        TensorSpec((1, 1, n, 2), scale=[scale_in], zero_point=[in_zp]),
        TensorSpec((1, 1, n, 2), scale=[scale_out], zero_point=[out_zp]),
    ]
    check(write_tflite(tensors, [OpSpec("RELU", [0], [1], version=2)], [0], [1]), seed)


@CASES
@given(seeds, st.data(), st.sampled_from(["int8", "float32"]))
def test_pad_and_strided_slice_move_the_right_elements(seed, data, dtype):
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(4))
    shape = (1, *shape[1:])
    pads = np.array(
        [[0, 0]] + [[data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))] for _ in range(3)], np.int32
    )
    padded = tuple(int(s + p.sum()) for s, p in zip(shape, pads, strict=True))
    begin = [data.draw(st.integers(0, size - 1)) for size in padded]
    end = [data.draw(st.integers(b + 1, size)) for b, size in zip(begin, padded, strict=True)]
    steps = [data.draw(st.integers(1, 3)) for _ in padded]
    out = tuple(len(range(b, e, s)) for b, e, s in zip(begin, end, steps, strict=True))
    quantized = {"scale": [0.1], "zero_point": [7]} if dtype == "int8" else {}
    tensors = [
        TensorSpec(shape, dtype, **quantized),
        TensorSpec((4, 2), "int32", data=pads),
        TensorSpec(padded, dtype, **quantized),
        *(TensorSpec((4,), "int32", data=np.array(v, np.int32)) for v in (begin, end, steps)),
        TensorSpec(out, dtype, **quantized),
    ]
    ops = [
        OpSpec("PAD", [0, 1], [2], version=2 if dtype == "int8" else 1),
        OpSpec("STRIDED_SLICE", [2, 3, 4, 5], [6], version=2),
    ]
    check(write_tflite(tensors, ops, [0], [6]), seed)


def test_a_channel_without_weights_keeps_its_bias_whatever_its_scale():
    """Converters give dead channels scales that mean nothing, and biases beyond 2**30 in units of them."""
    filters = np.zeros((3, 1, 1, 2), np.int8)
    filters[1] = 5
    tensors = [
        TensorSpec((1, 2, 2, 2), scale=[0.02], zero_point=[-3]),
        TensorSpec(filters.shape, data=filters, scale=[1e-10, 0.01, 1e-9]),
        TensorSpec((3,), "int32", data=np.array([2**31 - 1, 100, -(2**30)], np.int32), scale=[2e-12, 2e-4, 2e-11]),
        TensorSpec((1, 2, 2, 3), scale=[0.0005], zero_point=[4]),
    ]
    check(write_tflite(tensors, [OpSpec("CONV_2D", [0, 1, 2], [3], version=3)], [0], [3]), 0)


@pytest.mark.parametrize("bias", [2**30, -(2**30), 2**31 - 1, 77])
@pytest.mark.parametrize("out_scale", [2e3, 1e-3, 1e-6])
def test_large_sums_and_shifts_to_the_left_are_exact_on_host_and_board(bias, out_scale):
    """A layer whose activations all but vanish in calibration gets a factor far above 1."""
    rng = np.random.default_rng(3)
    tensors = [
        TensorSpec((1, 9), scale=[0.05], zero_point=[-7]),
        TensorSpec((2, 9), scale=[4e-3], data=rng.integers(-127, 128, (2, 9), dtype=np.int8)),
        TensorSpec((2,), "int32", data=np.array([bias, 100], np.int32), scale=[2e-4]),
        TensorSpec((1, 2), scale=[float(np.float32(out_scale))], zero_point=[4]),
    ]
    model = write_tflite(tensors, [OpSpec("FULLY_CONNECTED", [0, 1, 2], [3], version=4)], [0], [3])
    check(model, 5)
    program = build_program(lower_graph(import_tflite(model)), TARGET, target_toolchain("zig", TARGET))
    assert EmulatedBackend().run(program).golden_pairs_checked == len(program.golden)


def test_a_pad_folds_into_a_depthwise_convolution_that_still_equals():
    rng = np.random.default_rng(0)
    quantized = {"scale": [0.02], "zero_point": [-7]}
    tensors = [
        TensorSpec((1, 5, 4, 6), **quantized),
        TensorSpec((4, 2), "int32", data=np.array([[0, 0], [1, 2], [2, 1], [0, 0]], np.int32)),
        TensorSpec((1, 8, 7, 6), **quantized),
        TensorSpec((1, 3, 3, 6), data=rng.integers(-127, 128, (1, 3, 3, 6), dtype=np.int8), scale=[0.01], axis=3),
        TensorSpec((6,), "int32", data=rng.integers(-500, 500, 6).astype(np.int32), scale=[2e-4]),
        TensorSpec((1, 3, 3, 6), scale=[0.05], zero_point=[3]),
    ]
    options = {"padding": 1, "stride_h": 2, "stride_w": 2, "multiplier": 1}
    ops = [OpSpec("PAD", [0, 1], [2], version=2), OpSpec("DEPTHWISE_CONV_2D", [2, 3, 4], [5], options, version=3)]
    model = write_tflite(tensors, ops, [0], [5])
    assert lower_graph(import_tflite(model)).graph.histogram() == {"DEPTHWISE_CONV_2D": 1}
    check(model, 0)
