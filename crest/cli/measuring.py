"""`crest measure`: what a .tflite costs on a board; the road of a search, with no search on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crest.backends.emulated import EmulatedBackend
from crest.cli.console import results, write_output
from crest.cli.options import (
    BatteryOption,
    ClockOption,
    CompilerOption,
    FlagsOption,
    LoweringChoice,
    LoweringOption,
    Model,
    PlacementOption,
    RuntimeChoice,
    RuntimeOption,
    SamplingPowerOption,
    SamplingTimeOption,
    ScheduleOption,
    SelfDischargeOption,
    SleepOption,
    TargetOption,
    TreeOption,
    WakeMarginOption,
    build_options,
    read_model,
    schedule_of,
)
from crest.energy import load_energy_model, load_power
from crest.errors import AssetError
from crest.measurement import Measurement
from crest.pricing import Conditions, Pricing, Reserve
from crest.report import measurement_table
from crest.report.format import format_estimate
from crest.schedule import battery_life_h, characterise
from crest.targets import load_target


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(measure)


def measure(
    model: Model,
    target: TargetOption,
    schedule: Annotated[ScheduleOption, typer.Option(help="Back to back, or one inference every period.")] = (
        ScheduleOption.continuous
    ),
    period_ms: Annotated[float, typer.Option(min=0.001, max=1e9, help="Period of the cadenced schedule.")] = 200.0,
    sleep: Annotated[SleepOption, typer.Option(help="State between two inferences.")] = SleepOption.deep,
    wake_margin_ms: WakeMarginOption = 0.0,
    sampling_power_uw: SamplingPowerOption = 0.0,
    sampling_ms: SamplingTimeOption = None,
    clock_mhz: ClockOption = None,
    toolchain: CompilerOption = "zig",
    cflags: FlagsOption = "",
    lowering: LoweringChoice = LoweringOption.optimized,
    placement: PlacementOption = "",
    runtime: RuntimeChoice = RuntimeOption.crest,
    tflm_tree: TreeOption = None,
    engine: Annotated[str, typer.Option(help="Emulator that runs the firmware: unicorn or renode.")] = "unicorn",
    battery_mah: BatteryOption = 220.0,
    self_discharge_pct: SelfDischargeOption = 0.0,
    reserve_ram_bytes: Annotated[int, typer.Option(min=0, help="RAM kept for the application.")] = 0,
    reserve_flash_bytes: Annotated[int, typer.Option(min=0, help="Flash kept for the application.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the measurement here.")] = None,
) -> None:
    """Build the firmware of a .tflite, run it on a board, and say what it costs.

    Example:  crest measure model.tflite --target nano33ble --schedule cadenced --period-ms 200
    """
    graph = read_model(model)
    board = load_target(target).at(clock_mhz)
    when = schedule_of(schedule, period_ms, sleep, wake_margin_ms, sampling_power_uw, sampling_ms)
    reserve = Reserve(ram_bytes=reserve_ram_bytes, flash_bytes=reserve_flash_bytes)
    conditions = Conditions(board, when, reserve, max(board.clock_mhz))
    options = build_options(toolchain, cflags, lowering, placement, runtime, tflm_tree)
    pricing = Pricing(conditions, EmulatedBackend(engine), options)
    execution = pricing.run(pricing.build(graph))
    measurement = pricing.price(execution)
    if json_file is not None:
        write_output(json_file, measurement.model_dump_json(indent=2) + "\n")
    volt = load_power(board, max(board.clock_mhz)).states.volt
    life_h = battery_life_h(
        measurement.average_power_uw, battery_mah, volt, self_discharge_pct_per_year=self_discharge_pct
    )
    rows = [(f"battery life, {battery_mah:g} mAh", format_estimate("battery_life_h", life_h))]
    rows += _whole_board_rows(measurement, pricing.conditions, execution.code_region)
    results.print(measurement_table(measurement, rows))


def _whole_board_rows(measurement: Measurement, conditions: Conditions, code_region: str) -> list[tuple[str, str]]:
    """The energy inside the other measuring boundary where a model of it exists."""
    board, clock_mhz = conditions.target, conditions.clock_mhz
    try:
        states = load_energy_model(board, "whole_board").states(clock_mhz, code_region, board.supply.volt)
    except AssetError:
        return []
    costs = characterise(measurement.latency_ms, states, conditions.schedule)
    return [
        ("energy per inference, whole board", format_estimate("energy_per_inference_uj", costs.energy_per_inference_uj))
    ]
