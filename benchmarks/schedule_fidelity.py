"""The analytic schedule beside its execution: boards run a network at a period, sleep in between, and are compared.

Every window is executed; virtual time says how long the board was in which state, and the powers of an energy model
turn that into joules. Beside it stands what `crest.schedule` computes from the price of one inference. What is
compared is the arithmetic, not the powers. The network has the shape of a small keyword spotter. Periods: long, tight,
an odd number of microseconds without and with a wake margin, and one that every window misses. Energies are compared
apart where windows are missed: the arithmetic adds a wake-up to each of them, which a board that does not sleep does
not have.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from _figures import options, report
from rich.console import Console
from rich.table import Table

from crest.backends.base import CadencedRecord
from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.program import Program
from crest.compiler.toolchain import target_toolchain
from crest.energy import load_power
from crest.errors import SleepStateError
from crest.measurement import Estimate
from crest.schedule import Cadenced, PowerStates, SleepName, characterise, energy_between_uj
from crest.targets import load_target, target_names
from crest.timing import load_cycle_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.model_writer import ModelWriter

WINDOWS = {True: 3, False: 10}
"""By --quick."""
# Periods as multiples of wake-up and latency, and wake margins beyond the wake-up as parts of the latency.
PERIODS = {
    "long": (20.0, 0.0),
    "tight": (1.25, 0.0),
    "odd": (3.3331, 0.0),
    "early": (3.3331, 0.1),
    "missed": (0.7, 0.0),
}


@dataclass(frozen=True)
class Comparison:
    """One board in one state at one period: executed beside computed."""

    target: str
    period: str
    schedule: Cadenced
    record: CadencedRecord
    latency_ms: Estimate
    states: PowerStates

    @property
    def cycles_error_pct(self) -> float:
        """Time in run beside that of the inferences, and of what is left of a wake margin."""
        wake_up_ms = _value(self.states.between(self.schedule).wake_up_ms)
        awake_ms = max(self.schedule.wake_margin_ms - wake_up_ms, 0.0) + _value(self.latency_ms)
        return _error_pct(self.record.time_ms("run"), self.record.windows * awake_ms)

    @property
    def energy_error_pct(self) -> float:
        """Energy of the stretches beside that of the windows, and beside that of the same span of time; the worse."""
        executed = _value(self.record.energy_uj(self.states))
        costs = characterise(self.latency_ms, self.states, self.schedule)
        by_window = self.record.windows * _value(costs.energy_per_window_uj)
        by_time = _value(energy_between_uj(self.latency_ms, self.states, self.schedule, 0.0, self.record.duration_ms))
        return max(_error_pct(executed, by_window), _error_pct(executed, by_time), key=abs)

    @property
    def deadlines_agree(self) -> bool:
        """Whether every window is missed, or none, as computed."""
        missed = characterise(self.latency_ms, self.states, self.schedule).deadline_missed
        return self.record.missed == (self.record.windows if missed else 0)


def main() -> None:
    arguments = options(__doc__ or "")
    table = Table("board", "state", "period", "ms", "missed", "cycles %", "energy %", "timer Hz")
    found: list[Comparison] = []
    for comparison in compare(network(arguments.seed), WINDOWS[arguments.quick], arguments.quick):
        found.append(comparison)
        record = comparison.record
        table.add_row(
            comparison.target,
            record.sleep,
            comparison.period,
            f"{record.period_ms:.3f}",
            f"{record.missed}/{record.windows}",
            f"{comparison.cycles_error_pct:.4f}",
            f"{comparison.energy_error_pct:.4f}",
            f"{record.timer_hz}",
        )
    Console().print(table)
    met = [one for one in found if not one.record.missed]
    figures = {
        "cycles_error_pct": max(abs(one.cycles_error_pct) for one in found),
        "energy_error_pct": max(abs(one.energy_error_pct) for one in met),
        "energy_error_missed_pct": max(abs(one.energy_error_pct) for one in found if one.record.missed),
        "deadline_disagreements": float(sum(not one.deadlines_agree for one in found)),
        "runs": float(len(found)),
    }
    report(figures, arguments.json)


def network(seed: int) -> bytes:
    """Separable convolutions over 49 x 10 coefficients: some million multiply-accumulates."""
    writer = ModelWriter(np.random.default_rng(seed))
    source = writer.activation((1, 49, 10, 1))
    x = writer.conv(source, 40, kernel=(10, 4), stride=(2, 2), same=True, activation="relu")
    for _ in range(4):
        x = writer.conv(writer.depthwise(x, activation="relu"), 40, activation="relu")
    return writer.model([source], [writer.dense(writer.mean(x), 12)])


def compare(model: bytes, windows: int, quick: bool) -> Iterator[Comparison]:
    """Every board in every state that it can wait in, at every period; quick: the first board of each core."""
    backend, seen = EmulatedBackend(), set()
    for name in target_names():
        target = load_target(name)
        if quick and target.core in seen:
            continue
        seen.add(target.core)
        lowered = lower_graph(import_tflite(model, "network"), target.core)
        program = build_program(lowered, target, target_toolchain("zig", target))
        latency_ms, states = latency(backend, program), powers(program)
        for sleep in get_args(SleepName):
            for period in PERIODS:
                schedule = scheduled(period, _value(latency_ms), states, sleep)
                wake_up_ms = _value(states.between(schedule).wake_up_ms)
                try:
                    record = backend.run_cadenced(program, schedule, windows, wake_up_ms=wake_up_ms)
                except SleepStateError:
                    continue  # the board cannot wait in this state
                yield Comparison(name, period, schedule, record, latency_ms, states)


def scheduled(period: str, latency_ms: float, states: PowerStates, sleep: SleepName) -> Cadenced:
    """A schedule of ``PERIODS``, in whole microseconds."""
    wake_up_ms = _value((states.deep_sleep if sleep == "deep_sleep" else states.sleep).wake_up_ms)
    factor, share = PERIODS[period]
    margin_us = round((wake_up_ms + share * latency_ms) * 1e3) if share else 0
    period_us = round(factor * (wake_up_ms + latency_ms) * 1e3)
    return Cadenced(period_ms=period_us / 1e3, sleep=sleep, wake_margin_ms=margin_us / 1e3)


def latency(backend: EmulatedBackend, program: Program) -> Estimate:
    """Time of one inference, as a price has it; without its interval, which is not what is compared."""
    model = load_cycle_model(program.target, program.layout.code)
    cycles = model.total_cycles(backend.run(program).profile)
    return Estimate(value=_value(cycles) * 1e-3 / max(program.target.clock_mhz), origin="emulated")


def powers(program: Program) -> PowerStates:
    """Power by state from the energy model of the board."""
    return load_power(program.target, max(program.target.clock_mhz), program.layout.code).states


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None, estimate.reason
    return estimate.value


def _error_pct(executed: float, computed: float) -> float:
    return 100 * (executed / computed - 1)


if __name__ == "__main__":
    main()
