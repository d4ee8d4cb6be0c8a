"""Models of one operator with random weights, and the comparison of what they compute with TFLM's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from crest.compiler.build import lower_graph
from crest.compiler.graph import INTEGER_RANGES
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime

CASES = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
zero_points = st.integers(-128, 127)
activations = st.sampled_from(["none", "relu", "relu6"])


@st.composite
def convolutions(draw, dtype="int8", depthwise=False):
    """A convolution of any shape, and a seed for its inputs."""
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
    # TFLM crashes on an int8 depthwise convolution without bias.
    has_bias = draw(st.booleans()) or dtype == "float32" or depthwise
    bias_type = draw(st.sampled_from(["int32", "int64"])) if dtype == "int16" and not depthwise else None
    multiplier = draw(st.sampled_from([1, 1, 2, 3]))
    kind, w_shape = "CONV_2D", (out_c, k_h, k_w, in_c)
    if depthwise:
        out_c = in_c * multiplier
        kind, w_shape, options["multiplier"] = "DEPTHWISE_CONV_2D", (1, k_h, k_w, out_c), multiplier
    model = weighted_model(
        rng, kind, (1, in_h, in_w, in_c), w_shape, (1, *size, out_c), options, dtype,
        draw(st.booleans()), draw(zero_points), draw(zero_points), has_bias, bias_type,
    )  # fmt: skip
    return model, draw(seeds)


def check(model: bytes, seed: int, runs: int = 3) -> None:
    """Compare on random inputs."""
    graph = import_tflite(model)
    rng = np.random.default_rng(seed)
    check_inputs(model, [[random_input(rng, graph.tensors[i], run) for i in graph.inputs] for run in range(runs)])


def check_inputs(model: bytes, inferences: list[list[np.ndarray]]) -> None:
    """Compare the kernels of every core on given inputs: int8 must be equal, float32 close."""
    for core in ("cortex-m0plus", "cortex-m4"):
        check_core(model, core, inferences)


def check_core(model: bytes, core: str, inferences: list[list[np.ndarray]]) -> None:
    graph = import_tflite(model)
    lowered = lower_graph(graph, core)
    oracle = tflm.Interpreter.from_bytes(model, arena_size=1 << 16)
    with HostModel(lowered.graph, lowered.sources) as host:
        for parts in inferences:
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


def random_input(rng, tensor, run):
    if tensor.dtype == "float32":
        return rng.standard_normal(tensor.shape).astype(np.float32)
    low, high = INTEGER_RANGES[tensor.dtype]
    if run == 0:
        return rng.choice(np.array([low, high], tensor.dtype), size=tensor.shape)
    return rng.integers(low, high + 1, tensor.shape, dtype=tensor.dtype)


def _weights(rng, shape, dtype):
    if dtype == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(-127, 128, shape, dtype=np.int8)


def scales(rng, count, low=1e-4, high=0.2):
    return [float(np.float32(s)) for s in np.exp(rng.uniform(np.log(low), np.log(high), count))]


def weighted_model(
    rng, kind, in_shape, w_shape, out_shape, options, dtype, per_channel, in_zp, out_zp, has_bias,
    bias_type=None,
):  # fmt: skip
    """``bias_type`` is that of the element type where None; int16 has zero points of 0."""
    depthwise = kind == "DEPTHWISE_CONV_2D"
    units = w_shape[3 if depthwise else 0]
    if dtype == "float32":
        quantized = [{}, {}, {}, {}]
    else:
        step = 1 / 256 if dtype == "int16" else 1.0
        in_scale = [s * step for s in scales(rng, 1, 1e-3, 0.1)]
        w_scale = scales(rng, units if per_channel else 1, 1e-3, 0.05)
        depth = int(np.prod(w_shape[1:3] if depthwise else w_shape[1:]))
        out_scale = [float(np.float32(in_scale[0] * max(w_scale) * 100 * depth**0.5 * rng.uniform(0.02, 3)))]
        quantized = [
            {"scale": in_scale, "zero_point": [0 if dtype == "int16" else in_zp]},
            {"scale": w_scale, "axis": 3 if depthwise else 0},
            {"scale": [in_scale[0] * s for s in w_scale]},
            {"scale": out_scale, "zero_point": [0 if dtype == "int16" else out_zp]},
        ]
    bias_type = bias_type or {"float32": "float32", "int8": "int32", "int16": "int64"}[dtype]
    bias = rng.integers(-(2**14), 2**14, units).astype(bias_type)
    tensors = [
        TensorSpec(in_shape, dtype, **quantized[0]),
        TensorSpec(
            w_shape, "float32" if dtype == "float32" else "int8", data=_weights(rng, w_shape, dtype), **quantized[1]
        ),
        TensorSpec((units,), bias_type, data=bias, **quantized[2]),
        TensorSpec(out_shape, dtype, **quantized[3]),
    ]
    op = OpSpec(kind, [0, 1, 2 if has_bias else -1], [3], options, version=4 if kind == "FULLY_CONNECTED" else 3)
    return write_tflite(tensors, [op], [0], [3])
