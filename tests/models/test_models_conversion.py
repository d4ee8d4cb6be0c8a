"""Conversion in the child process: what ships equals what was trained, and a crash is one failed candidate."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tflite

from crest.errors import ModelError, TrainingError
from crest.models.conversion import Converter
from crest.models.conversion_worker import _check_outputs
from crest.models.layers import (
    Activation,
    Add,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalPool,
    GraphBuilder,
    Input,
    LayerGraph,
    MaxPool2D,
    Slice,
    same_padding,
)
from crest.models.proxies import Quantization
from crest.models.tcn import TCN
from crest.models.weights import Weights, initial_weights
from crest.workloads.base import Head

pytest.importorskip("torch")
if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("tensorflow is not installed", allow_module_level=True)

from crest.models.torch_net import predict

# In no order that a converter might sort them by.
HEADS = (Head("z", 1, "mse"), Head("y", 3, "mse"), Head("a", 1, "mse"), Head("b", 2, "mse"))
PLAIN = {"CONV_2D", "ADD", "FULLY_CONNECTED", "MAX_POOL_2D", "STRIDED_SLICE", "PAD", "RESHAPE"}


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    with Converter() as shared:
        yield shared


def tcn(**changes: object) -> LayerGraph:
    candidate = {
        "nb_filters": 8,
        "kernel_size": 5,
        "dropout": 0.1,
        "use_skip_connections": True,
        "batch_norm": True,
        "dilations": (1, 4, 16, 64),
    } | changes
    return TCN().build(candidate, (200, 10), HEADS)


def image_graph(function: str = "avg") -> LayerGraph:
    """Depthwise separable blocks with unequal strides, every pool, explicit and "same" padding."""
    builder = GraphBuilder()
    x = builder.add("window", Input(shape=(21, 16, 1)))
    for index, strides in enumerate([(2, 1), (1, 2)]):
        padding = same_padding(builder.shape(x), (3, 3), strides)
        layer = DepthwiseConv2D(kernel=(3, 3), strides=strides, padding=padding, depth_multiplier=2, use_bias=False)
        x = builder.add(f"depthwise{index}", layer, x)
        x = builder.add(f"norm{index}", BatchNorm(), x)
        x = builder.add(f"act{index}", Activation(function="relu6"), x)
        x = builder.add(f"pointwise{index}", Conv2D(filters=6, kernel=(1, 1)), x)
        x = builder.add(f"relu{index}", Activation(), x)
        x = builder.add(f"dropout{index}", Dropout(rate=0.2), x)
    y = builder.add("odd", Conv2D(filters=6, kernel=(3, 2), padding=(2, 0, 0, 1)), x)
    x = builder.add("sum", Add(), x, y)
    x = builder.add("pool_max", MaxPool2D(pool=(2, 3), strides=(1, 2)), x)
    x = builder.add("pool_avg", AveragePool2D(pool=(2, 1), strides=(2, 1)), x)
    x = builder.add("channels", Slice(axis=2, begin=1, stride=2, length=3), x)
    x = builder.add("rows", Slice(axis=0, begin=1, length=3), x)
    x = builder.add("pool", GlobalPool(function=function), x)  # type: ignore[arg-type]
    return builder.build((builder.add("classes", Dense(units=4), x),))


def visible(graph: LayerGraph, seed: int = 1) -> Weights:
    """Initial weights, but with outputs of order one and biases that tell the heads apart."""
    weights = initial_weights(graph, seed)
    rng = np.random.default_rng(seed)
    for index, name in enumerate(graph.outputs):
        weights[f"{name}.kernel"] = weights[f"{name}.kernel"] * np.float32(30)
        shape = weights[f"{name}.bias"].shape
        weights[f"{name}.bias"] = (3.0 * index + rng.uniform(-0.5, 0.5, shape)).astype(np.float32)
    return weights


def windows(graph: LayerGraph, count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *graph.input_shape)).astype(np.float32)


def operators(model: bytes) -> Counter[str]:
    codes = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
    parsed = tflite.Model.GetRootAs(model, 0)
    graph = parsed.Subgraphs(0)
    used = [parsed.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    return Counter(codes[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in used)


GRAPHS = {
    "skips": tcn,
    "residual": lambda: tcn(use_skip_connections=False, nb_filters=9, dilations=(2, 4, 32)),
    "no_norm": lambda: tcn(batch_norm=False, nb_filters=10, kernel_size=15, dilations=(16, 64, 256)),
    "image_avg": lambda: image_graph("avg"),
    "image_max": lambda: image_graph("max"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_float_model_equals_torch(converter: Converter, name: str) -> None:
    graph = GRAPHS[name]()
    weights, x = visible(graph), windows(graph, 6)
    expected = predict(graph, weights, x)
    assert expected.std(axis=0).min() > 0.01
    np.testing.assert_allclose(converter.run(converter.convert(graph, weights, "float32"), x), expected, atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_integer_models_are_close_to_float(converter: Converter, name: str) -> None:
    graph = GRAPHS[name]()
    weights, x = visible(graph), windows(graph, 60)
    expected = predict(graph, weights, x)

    def largest_error(quantization: Quantization) -> float:
        error = converter.run(converter.convert(graph, weights, quantization, x), x) - expected
        return float(np.sqrt((error**2).mean(axis=0)).max())

    assert largest_error("int8") < 0.02 * np.ptp(expected)
    assert largest_error("int16x8") < largest_error("int8")


def test_int8_model_on_tflm(converter: Converter) -> None:
    pytest.importorskip("tflite_micro")
    from tflite_micro import runtime

    graph = tcn()
    weights, x = visible(graph), windows(graph, 40)
    model = converter.convert(graph, weights, "int8", x)
    interpreter = runtime.Interpreter.from_bytes(model)
    scale, zero = _affine(interpreter.get_input_details(0))
    ends = [_affine(interpreter.get_output_details(index)) for index in range(len(HEADS))]
    rows = []
    for window in x:
        stepped = np.clip(np.round(window / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_input(stepped[np.newaxis], 0)
        interpreter.invoke()
        outputs = [interpreter.get_output(index).ravel().astype(np.float32) for index in range(len(HEADS))]
        rows.append(np.concatenate([(y - zero) * scale for y, (scale, zero) in zip(outputs, ends, strict=True)]))
    steps = [scale for scale, _ in ends]
    # TFLM rounds fully connected layers twice, which may move a value by one step in each of the two.
    assert np.abs(np.array(rows) - converter.run(model, x)).max() < 2.5 * max(steps)


def _affine(detail: dict) -> tuple[float, int]:
    parameters = detail["quantization_parameters"]
    return float(parameters["scales"][0]), int(parameters["zero_points"][0])


@pytest.mark.parametrize("name", ["skips", "residual", "no_norm"])
@pytest.mark.parametrize("quantization", ["int8", "int16x8", "float32"])
def test_a_tcn_ships_plain_operators(converter: Converter, name: str, quantization: str) -> None:
    graph = GRAPHS[name]()
    found = operators(converter.convert(graph, visible(graph), quantization, windows(graph, 3)))  # type: ignore[arg-type]
    assert set(found) <= PLAIN
    kinds = Counter(node.layer.kind for node in graph.nodes)
    padded = sum(isinstance(node.layer, Conv2D) and any(node.layer.padding) for node in graph.nodes)
    assert found["RESHAPE"] == kinds["reshape"] == 2
    assert found["CONV_2D"] == kinds["conv2d"]
    assert found["ADD"] == kinds["add"]
    assert found["STRIDED_SLICE"] == kinds["slice"]
    assert found["PAD"] == padded
    assert found["FULLY_CONNECTED"] == 1 + len(HEADS)


@pytest.mark.parametrize(("function", "pooling"), [("avg", {"MEAN": 1}), ("max", {"MAX_POOL_2D": 2})])
def test_an_image_network_ships_plain_operators(converter: Converter, function: str, pooling: dict[str, int]) -> None:
    graph = image_graph(function)
    found = operators(converter.convert(graph, visible(graph), "int8", windows(graph, 3)))
    plain = {"DEPTHWISE_CONV_2D": 2, "CONV_2D": 3, "PAD": 1, "ADD": 1, "MAX_POOL_2D": 1, "AVERAGE_POOL_2D": 1}
    assert found == plain | {"STRIDED_SLICE": 2, "FULLY_CONNECTED": 1} | pooling


@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_outputs_keep_the_order_of_the_heads(converter: Converter, quantization: str) -> None:
    graph = tcn()
    weights = {name: value * 0 if name.endswith("kernel") else value for name, value in visible(graph).items()}
    x = windows(graph, 2)
    found = converter.run(converter.convert(graph, weights, quantization, x), x)  # type: ignore[arg-type]
    biases = np.concatenate([weights[f"{name}.bias"] for name in graph.outputs])
    np.testing.assert_allclose(found, np.tile(biases, (2, 1)), atol=0.05)


def test_a_converter_that_permutes_the_outputs_is_caught(converter: Converter) -> None:
    graph = tcn()
    model = converter.convert(graph, visible(graph), "float32")
    permuted = LayerGraph(nodes=graph.nodes, outputs=(*graph.outputs[1:], graph.outputs[0]))
    _check_outputs(model, graph)
    with pytest.raises(RuntimeError, match="returned the outputs"):
        _check_outputs(model, permuted)


def test_equal_arguments_give_equal_bytes_in_every_process(converter: Converter) -> None:
    graph = tcn()
    weights, x = visible(graph), windows(graph, 20)
    first = converter.convert(graph, weights, "int8", x)
    converter.convert(image_graph(), visible(image_graph()), "float32")
    assert converter.convert(graph, weights, "int8", x) == first
    with Converter() as fresh:
        assert fresh.convert(graph, weights, "int8", x) == first
    assert converter.convert(graph, visible(graph, seed=2), "int8", x) != first


def test_model_is_int8_from_end_to_end_with_a_batch_of_one(converter: Converter) -> None:
    graph = tcn()
    subgraph = tflite.Model.GetRootAs(converter.convert(graph, visible(graph), "int8", windows(graph, 3)), 0).Subgraphs(
        0
    )
    ends = [subgraph.Tensors(subgraph.Inputs(0))]
    ends += [subgraph.Tensors(subgraph.Outputs(i)) for i in range(subgraph.OutputsLength())]
    assert {tensor.Type() for tensor in ends} == {tflite.TensorType.INT8}
    assert [tensor.ShapeAsNumpy().tolist() for tensor in ends] == [[1, 1, 200, 10], [1, 1], [1, 3], [1, 1], [1, 2]]
    assert subgraph.InputsLength() == 1


def test_bad_arguments(converter: Converter) -> None:
    graph = tcn()
    weights, x = visible(graph), windows(graph, 3)
    with pytest.raises(TrainingError, match="needs calibration"):
        converter.convert(graph, weights, "int8")
    with pytest.raises(TrainingError, match="needs calibration"):
        converter.convert(graph, weights, "int8", x[:0])
    with pytest.raises(TrainingError, match="not finite"):
        converter.convert(graph, weights, "int8", x * np.float32(np.inf))
    with pytest.raises(ModelError, match="do not fit"):
        converter.convert(graph, weights, "int8", x[:, :, :-1])
    with pytest.raises(ModelError, match="missing"):
        converter.convert(graph, {}, "float32")
    with pytest.raises(TrainingError, match="job 'run' failed"):
        converter.run(b"this is no model", x)
    assert converter.convert(graph, weights, "float32")[4:8] == b"TFL3"


def test_a_crash_and_a_timeout_are_one_failed_job_each() -> None:
    """The signal and the deadline meet the process while it imports TensorFlow, long before it could answer."""
    graph = image_graph()
    weights = visible(graph)
    with Converter(timeout_s=60) as converter:
        pid = converter._running().pid
        timer = threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV))
        timer.start()
        with pytest.raises(TrainingError, match="SIGSEGV"):
            converter.convert(graph, weights, "float32")
        timer.join()
        converter._timeout_s = 0.3
        with pytest.raises(TrainingError, match=r"more than 0\.3 s"):
            converter.convert(graph, weights, "float32")
        converter._timeout_s = 60
        assert converter.convert(graph, weights, "float32")[4:8] == b"TFL3"
        process = converter._running()
        process.kill()
        process.wait()
        assert converter.convert(graph, weights, "float32")[4:8] == b"TFL3"  # died between jobs: nobody notices
        last = converter._running()
    assert last.poll() is not None


NOISY = """
import os
from crest.models.conversion_worker import claim_stdout
answers = claim_stdout()
print("python noise", flush=True)
os.system("echo noise of a child")
os.write(1, b"C noise")
answers.write(b"frame")
answers.flush()
"""


def test_prints_never_reach_the_protocol() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, cwd=root, check=True)
    assert done.stdout == b"frame"
    assert b"python noise" in done.stderr and b"C noise" in done.stderr and b"noise of a child" in done.stderr
