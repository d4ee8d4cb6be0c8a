"""The models that other runtimes are compared on: equal to TFLM bit for bit, and verified on the emulated board."""

from __future__ import annotations

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import lower_graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.pricing import Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target

INPUTS = 200
MODELS = ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "str_ww_ref_model", "vww_96_int8"]
TARGET = load_target("nano33ble")

pytestmark = pytest.mark.data


@pytest.fixture(params=MODELS)
def model(request, data_folder):
    path = data_folder / "silicon" / "models" / f"{request.param}.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path.read_bytes()


def test_the_host_build_equals_tflm(model):
    tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime
    graph = import_tflite(model)
    lowered = lower_graph(graph)
    oracle = tflm.Interpreter.from_bytes(model, arena_size=1 << 20)
    rng = np.random.default_rng(0)
    distinct = set()
    with HostModel(lowered.graph, lowered.sources) as host:
        for _ in range(INPUTS):
            x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape, dtype=np.int8)
            oracle.set_input(x, 0)
            oracle.invoke()
            expected = oracle.get_output(0).tobytes()
            assert host.run_bytes(x.tobytes()) == expected
            distinct.add(expected)
    assert len(distinct) > 1, "a network whose outputs never change proves nothing"


def test_what_is_computed_depends_on_the_input_and_reaches_the_output(request, model):
    """More than four fifths of the weights of vww are zero; the other models use all of theirs."""
    imported = import_tflite(model)
    lowered = lower_graph(imported)
    macs, imported_macs = (sum(map(graph.macs, graph.operators)) for graph in (lowered.graph, imported))
    weight_bytes = sum(tensor.size_bytes for tensor in lowered.graph.constants() if tensor.dtype == "int8")
    if "vww" in request.node.name:
        assert imported_macs == 7_489_664
        assert (macs, weight_bytes) == (3_733_073, 29_286)
    else:
        assert macs == imported_macs
        assert lowered.graph.histogram() == lower_graph(imported, passes="weight_independent").graph.histogram()


def test_the_emulated_board_gives_the_golden_outputs(model):
    pricing = Pricing(Conditions(TARGET, Continuous(), Reserve(), max(TARGET.clock_mhz)), EmulatedBackend())
    program = pricing.build(import_tflite(model))
    assert pricing.run(program).golden_pairs_checked == len(program.golden)
    assert program.memory.arena_bytes <= 1.05 * program.memory.arena_lower_bound_bytes
