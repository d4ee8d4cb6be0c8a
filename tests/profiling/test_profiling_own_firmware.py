"""CREST's own measuring firmware: the profiler asks it for an inference, and sees what the measurement sees."""

from __future__ import annotations

import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.profiling import ProfileRequest, profile_firmware
from crest.targets import load_target
from crest.timing.model import load_core_timing
from tests.models_small import residual_model


@pytest.mark.parametrize("name", ["nano33ble", "rp2040-pico", "nucleo-h7a3zi"])
def test_an_inference_is_what_the_measurement_counts(name):
    target = load_target(name)
    program = build_program(
        lower_graph(import_tflite(residual_model(), "small"), target.core), target, target_toolchain("zig", target)
    )
    layers = EmulatedBackend().run(program).profile.layers
    found = profile_firmware(ProfileRequest(program.elf, target))
    assert (found.begins, found.ends) == ("model_run is entered", "model_run returns")
    measured = sum(layer.counts["instructions"] for layer in layers)
    # Layers begin at their marks and end at the next: what precedes the first is in none of them.
    assert measured <= found.instructions + 10 and found.instructions <= measured + 40
    for kind in ("mul", "mla", "smlad", "smull", "smlal", "div"):
        assert found.mix.get(kind, 0) == sum(layer.counts.get(kind, 0) for layer in layers)
    assert {row.name: row.calls for row in found.functions}["crest_layer_mark"] == len(layers)
    if target.core == "cortex-m7":  # whose cycles are counted along edges: by pairs, waits and predictions
        timing = load_core_timing(target.core)
        expected = target.fetch_stall_factor.value * sum(timing.cycles(layer.counts) for layer in layers)
        assert found.cycles.value == pytest.approx(expected, rel=0.05)
        assert sum(row.self_cycles for row in found.functions) == pytest.approx(found.cycles.value, rel=1e-6)


def test_start_up_can_be_profiled():
    target = load_target("nano33ble")
    program = build_program(
        lower_graph(import_tflite(residual_model(), "small"), target.core), target, target_toolchain("zig", target)
    )
    found = profile_firmware(ProfileRequest(program.elf, target, begin="Reset_Handler", end="harness_main"))
    assert found.ends == "harness_main is entered"
    assert "harness_main" not in {row.name for row in found.functions}
