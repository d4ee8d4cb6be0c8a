"""`crest schedule`: one program at several clocks, sleep states and periods, and where the best of them changes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from crest.alternatives import LONGEST_PERIOD_MS, Alternative, Battery, BreakEven, Row, break_evens, cost_rows
from crest.backends.emulated import EmulatedBackend
from crest.cli.console import results, write_output
from crest.cli.options import (
    BatteryOption,
    CompilerOption,
    FlagsOption,
    LoweringChoice,
    LoweringOption,
    Model,
    PlacementOption,
    SamplingPowerOption,
    SamplingTimeOption,
    SelfDischargeOption,
    TargetOption,
    WakeMarginOption,
    build_options,
    read_model,
    sampling,
)
from crest.compiler.graph import Graph
from crest.measurement import Measurement
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve, power_of
from crest.report.format import ABSENT, format_estimate, format_value
from crest.schedule import Continuous, PowerStates, SleepName, cadenced
from crest.targets import Target, load_target

_STATES: dict[str, SleepName] = {"sleep": "sleep", "deep": "deep_sleep", "deep_sleep": "deep_sleep"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("schedule")(compare_schedules)


def compare_schedules(
    model: Model,
    target: TargetOption,
    period_ms: Annotated[str, typer.Option(help="Periods to compare at, in ms, with commas between.")] = "50,200,1000",
    sleep: Annotated[str, typer.Option(help="States to wait in: sleep, deep, or both.")] = "sleep,deep",
    clock_mhz: Annotated[
        str, typer.Option(help="Clocks to run at, in MHz; by default all of the board's.", show_default=False)
    ] = "",
    wake_margin_ms: WakeMarginOption = 0.0,
    sampling_power_uw: SamplingPowerOption = 0.0,
    sampling_ms: SamplingTimeOption = None,
    reserve_cpu_pct: Annotated[
        float, typer.Option(min=0, max=99.9, help="Of each period, kept for the application.")
    ] = 0.0,
    battery_mah: BatteryOption = 220.0,
    self_discharge_pct: SelfDischargeOption = 0.0,
    toolchain: CompilerOption = "zig",
    cflags: FlagsOption = "",
    lowering: LoweringChoice = LoweringOption.optimized,
    placement: PlacementOption = "",
    engine: Annotated[str, typer.Option(help="Emulator that runs the firmware: unicorn or renode.")] = "unicorn",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all of it here.")] = None,
) -> None:
    """Race to idle, or slow and steady? What a .tflite costs at each clock, in each sleep state, at each period.

    The model is built and run once a clock. All else is arithmetic on its latency and the board's energy model:
    docs/schedules.md.

    Examples:
      crest schedule model.tflite --target nucleo-l4r5zi

      crest schedule model.tflite --target nucleo-l4r5zi --clock-mhz 16,80 --sleep sleep --period-ms 100,1000

      crest schedule model.tflite --target nano33ble --wake-margin-ms 1 --sampling-power-uw 500 --sampling-ms 20
    """
    periods_ms = _numbers(period_ms, "--period-ms")
    states = _sleep_states(sleep)
    sensors = sampling(sampling_power_uw, sampling_ms)
    schedules = [cadenced(period, states[0], wake_margin_ms, sensors) for period in periods_ms]
    board = load_target(target)
    clocks_mhz = _numbers(clock_mhz, "--clock-mhz") if clock_mhz else board.clock_mhz
    boards = [board.at(clock) for clock in clocks_mhz]
    options, graph = build_options(toolchain, cflags, lowering, placement), read_model(model)
    priced = [_price(graph, one, EmulatedBackend(engine), options) for one in boards]
    alternatives = [
        Alternative(measurement.clock_mhz, state, measurement.latency_ms, power)
        for measurement, power in priced
        for state in states
    ]
    rows = cost_rows(alternatives, schedules, Battery(battery_mah, self_discharge_pct), reserve_cpu_pct=reserve_cpu_pct)
    turns = break_evens(alternatives, schedules[0], reserve_cpu_pct=reserve_cpu_pct)
    measurements = [measurement for measurement, _ in priced]
    if json_file is not None:
        write_output(json_file, json.dumps(_document(measurements, rows, turns), indent=2) + "\n")
    _show(measurements, rows, turns, battery_mah)


def _price(
    graph: Graph, board: Target, backend: EmulatedBackend, options: BuildOptions
) -> tuple[Measurement, PowerStates]:
    """The price of one inference at the one clock of ``board``, and the board's power while it runs and waits."""
    conditions = Conditions(board, Continuous(), Reserve(), max(board.clock_mhz))
    pricing = Pricing(conditions, backend, options)
    execution = pricing.run(pricing.build(graph))
    measurement = pricing.price(execution)
    return measurement, power_of(execution, conditions, measurement.latency_ms).states


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(item) for item in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: numbers with commas between, for example 50,200", param_hint=option
        ) from None
    if not all(0 < number <= LONGEST_PERIOD_MS and math.isfinite(number) for number in numbers):
        raise typer.BadParameter(f"{text!r}: each from above 0 to {LONGEST_PERIOD_MS:g}", param_hint=option)
    return tuple(dict.fromkeys(numbers))


def _sleep_states(text: str) -> tuple[SleepName, ...]:
    names = [item.strip() for item in text.split(",")]
    unknown = [name for name in names if name not in _STATES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(_STATES)}", param_hint="--sleep")
    return tuple(dict.fromkeys(_STATES[name] for name in names))


def _document(measurements: Sequence[Measurement], rows: Sequence[Row], turns: Sequence[BreakEven]) -> dict[str, Any]:
    return {
        "measurements": [measurement.model_dump(mode="json") for measurement in measurements],
        "schedules": [row.model_dump(mode="json") for row in rows],
        "break_even": [turn.model_dump(mode="json") for turn in turns],
    }


def _show(
    measurements: Sequence[Measurement], rows: Sequence[Row], turns: Sequence[BreakEven], battery_mah: float
) -> None:
    latencies = ", ".join(
        f"{format_estimate('latency_ms', one.latency_ms)} at {one.clock_mhz:g} MHz" for one in measurements
    )
    results.print(Text(f"{measurements[0].target}: one inference takes {latencies}"))
    results.print(_cost_table(rows, battery_mah))
    if any(row.best and not row.certain for row in rows):
        results.print(Text("best?: the least, but not wherever the true figures lie in their intervals", style="dim"))
    for note in _row_notes(rows):
        results.print(Text(f"note: {note}", style="dim"))
    if turns:
        results.print(_turn_table(turns))
    for note in dict.fromkeys(note for one in measurements for note in one.notes):
        results.print(Text(f"note: {note}", style="dim"))


def _row_notes(rows: Sequence[Row]) -> list[str]:
    """What the schedules say beside their numbers, each text once, with the rows that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            label = f"{format_value('period_ms', row.period_ms)}, {row.clock_mhz:g} MHz, {row.sleep}"
            about.setdefault(note, []).append(label)
    return [f"{'; '.join(labels)}: {note}" for note, labels in about.items()]


def _cost_table(rows: Sequence[Row], battery_mah: float) -> Table:
    table = Table(title=Text(f"what a window costs; battery of {battery_mah:g} mAh"))
    for name in ("period", "clock", "state"):
        table.add_column(name, justify="right")
    for name in ("energy per window", "average power", "duty cycle", "missed", "battery life"):
        table.add_column(Text(name), justify="right")
    table.add_column("")
    last = None
    for row in rows:
        if last not in (None, row.period_ms):
            table.add_section()
        last = row.period_ms
        table.add_row(
            format_value("period_ms", row.period_ms),
            f"{row.clock_mhz:g} MHz",
            row.sleep,
            Text(format_estimate("energy_uj", row.energy_per_window_uj)),
            Text(format_value("power_uw", row.average_power_uw.value)),
            format_value("duty_pct", row.duty_cycle.value and row.duty_cycle.value * 100),
            _missed_text(row),
            Text(format_value("battery_life_h", row.battery_life_h.value)),
            ("best" if row.certain else "best?") if row.best else "",
        )
    return table


def _missed_text(row: Row) -> str:
    """How many releases an hour have no result in time, and how many have no inference at all."""
    if row.deadline_misses_per_h.value is None:
        return ABSENT
    count = f"{row.deadline_misses_per_h.value:,.4g}/h" if row.deadline_misses_per_h.value else "0"
    skipped = row.skipped_share.value
    return f"{count}, {skipped:.0%} skipped" if skipped else count


def _turn_table(turns: Sequence[BreakEven]) -> Table:
    table = Table(title=Text("break-even: from which period on the other one takes less energy"))
    for name in ("with", "between", "both keep periods", "takes less energy"):
        table.add_column(Text(name))
    for turn in turns:
        shared, names = _names(turn)
        both = f"from {format_value('period_ms', turn.both_from_ms.value)} on"
        if turn.alone_below:
            both += f", {names[turn.alone_below]} shorter ones"
        between = " and ".join(names.values())
        table.add_row(shared, between, Text(both), Text(_turn_text(turn, names)))
    return table


def _names(turn: BreakEven) -> tuple[str, dict[str, str]]:
    """What both alternatives share, and what tells each of them apart, by its label."""
    one, other = turn.one.split(", "), turn.other.split(", ")
    shared = [part for part in one if part in other]
    own = {
        label: ", ".join(part for part in parts if part not in shared)
        for label, parts in ((turn.one, one), (turn.other, other))
    }
    return ", ".join(shared), own


def _turn_text(turn: BreakEven, names: dict[str, str]) -> str:
    if turn.below is None or turn.above is None:
        return f"{ABSENT} ({turn.period_ms.reason})"
    above, below = names[turn.above], names[turn.below]
    if turn.period_ms.value is not None:
        if turn.certain_from_ms is None:
            return f"{above} from {format_value('period_ms', turn.period_ms.value)} on, {below} below, not certain"
        rest, period = (format_estimate("period_ms", e) for e in (turn.rest_ms, turn.period_ms))
        return f"{above} from {period} on, at a rest of {rest}; {below} below"
    if turn.certain_from_ms is None:
        return f"{above} at every period, not certain"
    low = turn.both_from_ms.value if turn.both_from_ms.low is None else turn.both_from_ms.low
    since = format_value("period_ms", turn.certain_from_ms)
    doubt = "" if turn.certain_from_ms == low else f", for certain from {since} on"
    return f"{above} at every period{doubt}"
