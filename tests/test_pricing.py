"""What a price depends on: never on seeded weights, always on how the firmware is built."""

from __future__ import annotations

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import CompilerChoice
from crest.errors import AssetError
from crest.placement import Placement
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
    choices += [{"placement": Placement(weights="ram")}, {"placement": Placement(weights="auto")}]
    assert len({pricing(**choice).key("the same graph") for choice in choices}) == len(choices)


def test_a_price_names_where_the_parts_lie():
    graph = import_tflite(residual_model())
    placed = pricing(placement=Placement(weights="ram"))
    measurement, plain = (road.price(road.run(road.build(graph))) for road in (placed, pricing()))
    assert measurement.placement == "code flash, weights ram, arena ram"
    assert plain.placement == "code flash, weights flash, arena ram"
    assert measurement.memory.ram_bytes > plain.memory.ram_bytes


def test_code_elsewhere_has_the_cycles_and_the_energy_that_are_known_of_it_there():
    graph = import_tflite(residual_model())
    with pytest.raises(AssetError, match="nothing is known of the cycles of code in ram"):
        pricing(placement=Placement(code="ram"))
    factor = TARGET.fetch_stall_factor.model_copy(update={"value": 1.0, "low": 1.0})
    board = TARGET.model_copy(update={"fetch_stall_factor_in": {"ram": factor}})
    known = pricing(board, placement=Placement(code="ram"))
    execution = known.run(known.build(graph))
    measurement, there = known.price(execution), pricing().price(execution.model_copy(update={"code_region": "flash"}))
    assert measurement.cycles.value == pytest.approx(there.cycles.value / TARGET.fetch_stall_factor.value)
    assert measurement.energy_per_inference_uj.reason == "the energy model of nano33ble does not know code in ram"
    assert there.energy_per_inference_uj.value


def test_a_board_without_an_energy_model_has_every_other_price():
    graph = import_tflite(residual_model())
    bare = pricing(TARGET.model_copy(update={"name": "bare"}))
    measurement, known = (road.price(road.run(road.build(graph))) for road in (bare, pricing()))
    assert measurement.energy_model == "none"
    for name in ("energy_per_inference_uj", "energy_per_window_uj", "average_power_uw"):
        estimate = getattr(measurement, name)
        assert (estimate.value, estimate.reason) == (None, "no energy model")
    assert (measurement.latency_ms, measurement.memory) == (known.latency_ms, known.memory)
    assert set(known.metrics()) - set(measurement.metrics()) == {
        "energy_per_inference_uj",
        "energy_per_window_uj",
        "average_power_uw",
    }
