"""Every int8 kernel against TFLM's reference kernels, on generated shapes, scales, zero points and extreme values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime

CASES = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
zero_points = st.integers(-128, 127)
activations = st.sampled_from(["none", "relu", "relu6"])


def check(model: bytes, seed: int, runs: int = 3) -> None:
    graph = import_tflite(model)
    lowered = lower_graph(graph)
    rng = np.random.default_rng(seed)
    oracle = tflm.Interpreter.from_bytes(model)
    with HostModel(lowered.graph, lowered.sources) as host:
        for run in range(runs):
            parts = [_input(rng, graph.tensors[i], run) for i in graph.inputs]
            for position, part in enumerate(parts):
                oracle.set_input(part, position)
            oracle.invoke()
            expected = b"".join(oracle.get_output(i).tobytes() for i in range(len(graph.outputs)))
            got = host.run_bytes(b"".join(part.tobytes() for part in parts))
            if graph.tensors[graph.outputs[0]].dtype == "float32":
                a, b = (np.frombuffer(raw, np.float32) for raw in (got, expected))
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
            else:
                assert got == expected


def _input(rng, tensor, run):
    if tensor.dtype == "float32":
        return rng.standard_normal(tensor.shape).astype(np.float32)
    if run == 0:
        return rng.choice(np.array([-128, 127], np.int8), size=tensor.shape)
    return rng.integers(-128, 128, tensor.shape, dtype=np.int8)


def _weights(rng, shape, dtype):
    if dtype == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(-127, 128, shape, dtype=np.int8)


def _scales(rng, count, low=1e-4, high=0.2):
    return [float(np.float32(s)) for s in np.exp(rng.uniform(np.log(low), np.log(high), count))]


def _weighted(rng, kind, in_shape, w_shape, out_shape, options, dtype, per_channel, in_zp, out_zp, has_bias):
    units = w_shape[0]
    if dtype == "float32":
        quantized = [{}, {}, {}, {}]
    else:
        in_scale = _scales(rng, 1, 1e-3, 0.1)
        w_scale = _scales(rng, units if per_channel else 1, 1e-3, 0.05)
        depth = int(np.prod(w_shape[1:]))
        out_scale = [float(np.float32(in_scale[0] * max(w_scale) * 100 * depth**0.5 * rng.uniform(0.02, 3)))]
        quantized = [
            {"scale": in_scale, "zero_point": [in_zp]},
            {"scale": w_scale},
            {"scale": [in_scale[0] * s for s in w_scale]},
            {"scale": out_scale, "zero_point": [out_zp]},
        ]
    bias_type = "float32" if dtype == "float32" else "int32"
    bias = rng.integers(-(2**14), 2**14, units).astype(bias_type)
    tensors = [
        TensorSpec(in_shape, dtype, **quantized[0]),
        TensorSpec(w_shape, dtype, data=_weights(rng, w_shape, dtype), **quantized[1]),
        TensorSpec((units,), bias_type, data=bias, **quantized[2]),
        TensorSpec(out_shape, dtype, **quantized[3]),
    ]
    op = OpSpec(kind, [0, 1, 2 if has_bias else -1], [3], options, version=3 if kind == "CONV_2D" else 4)
    return write_tflite(tensors, [op], [0], [3])


@st.composite
def convolutions(draw, dtype="int8"):
    rng = np.random.default_rng(draw(seeds))
    in_h, in_w = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    in_c, out_c = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    same = draw(st.booleans())
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    k_h, k_w = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    if not same:
        k_h = min(k_h, (in_h - 1) // dilation[0] + 1)
        k_w = min(k_w, (in_w - 1) // dilation[1] + 1)
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    size = []
    for length, kernel, step, spread in ((in_h, k_h, stride[0], dilation[0]), (in_w, k_w, stride[1], dilation[1])):
        reach = length if same else length - (kernel - 1) * spread
        size.append(-(-reach // step))
    options = {
        "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1], "dilation_h": dilation[0],
        "dilation_w": dilation[1], "activation": draw(activations),
    }  # fmt: skip
    model = _weighted(
        rng, "CONV_2D", (1, in_h, in_w, in_c), (out_c, k_h, k_w, in_c), (1, *size, out_c), options, dtype,
        draw(st.booleans()), draw(zero_points), draw(zero_points), draw(st.booleans()) or dtype == "float32",
    )  # fmt: skip
    return model, draw(seeds)


@CASES
@given(convolutions())
def test_conv2d_int8_is_bit_exact(case):
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
    model = _weighted(
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
        _weighted(
            rng, "FULLY_CONNECTED", (1, depth), (units, depth), (1, units), options, "float32", False, 0, 0, True
        ),
        seed,
    )


@CASES
@given(seeds, st.integers(1, 50), activations, zero_points, zero_points, zero_points)
def test_add_int8_is_bit_exact(seed, n, activation, left_zp, right_zp, out_zp):
    rng = np.random.default_rng(seed)
    left, right = _scales(rng, 2, 1e-3, 0.5)
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
    scale_in, scale_out = _scales(rng, 2, 1e-2, 0.2)
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
