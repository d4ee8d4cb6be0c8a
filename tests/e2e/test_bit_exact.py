"""The emulated board computes what TFLM computes, on networks that went the whole way: family, converter, compiler."""

from __future__ import annotations

import numpy as np
import pytest

from crest.backends.emulated import MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.graph import INTEGER_RANGES
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators import load_engine
from crest.targets import load_target

tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime
pytest.importorskip("tensorflow", reason="conversion needs the search extra")

from crest.models.conversion import Converter  # noqa: E402
from crest.models.tcn import TCN  # noqa: E402
from crest.models.weights import initial_weights  # noqa: E402
from crest.workloads.base import Head  # noqa: E402

ARCHITECTURES, INT16_ARCHITECTURES, INPUTS = 10, 4, 100
HEADS = (Head("x", 1, "mse"), Head("y", 1, "mse"))
TARGET = load_target("nano33ble")


def sampled(seed: int) -> dict[str, object]:
    """A candidate of the published space, narrow enough to be quick."""
    rng = np.random.default_rng(seed)
    family = TCN()
    space = {**family.space, "nb_filters": family.space["nb_filters"].narrow([2, 16])}
    return {name: axis.sample(rng) for name, axis in space.items()}


@pytest.fixture(scope="module")
def converter():
    with Converter() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(INT16_ARCHITECTURES))
def test_int16_outputs_equal_tflm_on_the_emulated_board(seed, converter):
    check_board(seed, converter, "int16x8")


@pytest.mark.parametrize("seed", range(ARCHITECTURES))
def test_outputs_equal_tflm_on_the_emulated_board(seed, converter):
    check_board(seed, converter, "int8")


def check_board(seed, converter, quantization):
    candidate = sampled(seed)
    graph = TCN().build(candidate, (200, 10), HEADS)
    rng = np.random.default_rng([seed, 1])
    calibration = rng.standard_normal((50, 200, 10)).astype(np.float32)
    tflite = converter.convert(graph, initial_weights(graph, seed), quantization, calibration)

    imported = import_tflite(tflite, f"sample {seed}")
    oracle = tflm.Interpreter.from_bytes(tflite)
    program = build_program(lower_graph(imported), TARGET, target_toolchain("zig", TARGET))
    machine = load_engine("unicorn").boot(program.elf, TARGET)
    session = open_session(MachineTransport(machine), program)
    distinct = set()
    for _ in range(INPUTS):
        source = imported.tensors[imported.inputs[0]]
        low, high = INTEGER_RANGES[source.dtype]
        x = rng.integers(low, high + 1, source.shape, dtype=source.dtype)
        oracle.set_input(x, 0)
        oracle.invoke()
        expected = b"".join(oracle.get_output(i).tobytes() for i in range(len(HEADS)))
        session.load(x.tobytes())
        session.run()
        assert session.outputs(program.output_bytes) == expected, candidate
        distinct.add(expected)
    machine.close()
    assert len(distinct) > 1, "a network whose outputs never change proves nothing"


def test_the_imported_graph_is_the_tflite(converter):
    """Histogram and weight bytes, read independently by TensorFlow's own schema classes."""
    from tensorflow.lite.python import schema_py_generated as schema

    graph = TCN().build(sampled(3), (200, 10), HEADS)
    x = np.random.default_rng(3).standard_normal((20, 200, 10)).astype(np.float32)
    tflite = converter.convert(graph, initial_weights(graph, 3), "int8", x)
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    (subgraph,) = model.subgraphs
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    kinds = [names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in subgraph.operators]
    read = {index for op in subgraph.operators for index in op.inputs if index >= 0}
    weight_bytes = sum(len(data) for i in read if (data := model.buffers[subgraph.tensors[i].buffer].data) is not None)

    imported = import_tflite(tflite)
    assert imported.histogram() == {kind: kinds.count(kind) for kind in kinds}
    assert sum(tensor.size_bytes for tensor in imported.constants()) == weight_bytes
    lowered = lower_graph(imported)
    removed = [text for record in lowered.removed for text in record.removed if record.name != "reorder"]
    kept = sum(op.kind != "VIEW" for op in lowered.graph.operators)
    assert len(removed) == len(kinds) - kept
