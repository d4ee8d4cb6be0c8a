"""What a price depends on: never on seeded weights, always on how the firmware is built."""

from __future__ import annotations

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import CompilerChoice
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target
from tests.model_writer import ModelWriter
from tests.models_small import residual_model

TARGET = load_target("nano33ble")


def pricing(target=TARGET, **options):
    conditions = Conditions(target, Continuous(), Reserve(), max(target.clock_mhz))
    return Pricing(conditions, EmulatedBackend(), BuildOptions(**options), use_cache=False)


def model_with_dead_channels(dead: int) -> bytes:
    def change(data):
        data[:dead] = 0

    writer = ModelWriter(np.random.default_rng(0))
    source = writer.activation((1, 5, 5, 3))
    return writer.model([source], [writer.conv(writer.conv(source, 8, weights=change), 2)])


def test_the_price_of_seeded_weights_is_the_same_whatever_they_are():
    road = pricing()
    first, second = (
        road.execution(f"dead {n}", lambda n=n: import_tflite(model_with_dead_channels(n))) for n in (0, 4)
    )
    assert [layer.macs for layer in first.layers] == [layer.macs for layer in second.layers] == [600, 400]
    assert first.profile.total()["instructions"] == pytest.approx(second.profile.total()["instructions"], rel=0.02)


def test_what_ships_is_built_for_its_weights():
    road = pricing()
    program = road.build(import_tflite(model_with_dead_channels(4)))
    assert [layer.macs for layer in program.layers] == [300, 200]
    measurement = road.price(road.run(program))
    assert (measurement.lowering, measurement.golden_pairs_checked) == ("optimized", len(program.golden))


def test_plain_lowering_runs_what_was_exported():
    graph = import_tflite(residual_model())
    road = pricing(lowering="plain")
    program = road.build(graph)
    assert [layer.operator for layer in program.layers] == [op.kind for op in graph.operators if op.kind != "RESHAPE"]
    execution = road.run(program)
    assert road.price(execution).lowering == "plain"
    optimized = pricing().build(graph)
    assert [pair.outputs for pair in program.golden] == [pair.outputs for pair in optimized.golden]
    assert program.model_id != optimized.model_id
    assert execution.profile.total()["instructions"] > pricing().run(optimized).profile.total()["instructions"]


def test_the_key_of_a_price_tells_builds_apart():
    choices = [{}, {"lowering": "plain"}, {"compiler": CompilerChoice("zig", ("-O3",))}]
    assert len({pricing(**choice).key("the same graph") for choice in choices}) == 3


def test_a_board_without_an_energy_model_has_every_other_price():
    graph = import_tflite(residual_model())
    bare = pricing(TARGET.model_copy(update={"name": "bare"}))
    measurement, known = (road.price(road.run(road.build(graph))) for road in (bare, pricing()))
    assert measurement.energy_model == "none"
    for name in ("energy_per_inference_uj", "energy_per_window_uj", "average_power_uw"):
        estimate = getattr(measurement, name)
        assert (estimate.value, estimate.reason) == (None, "no energy model of bare")
    assert (measurement.latency_ms, measurement.memory) == (known.latency_ms, known.memory)
    assert set(known.metrics()) - set(measurement.metrics()) == {
        "energy_per_inference_uj",
        "energy_per_window_uj",
        "average_power_uw",
    }
