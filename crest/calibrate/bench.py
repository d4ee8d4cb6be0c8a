"""Benches: what runs a program again and again while a meter records."""

from __future__ import annotations

import math
from typing import Final, Protocol

from crest.calibrate.rows import PowerRow, ProbeRun
from crest.energy.model import EnergyModel, Work
from crest.errors import CalibrationError, MeterError
from crest.measurement import Boundary, Estimate
from crest.meters import Reading, SimulatedMeter, Stretch, read_windows
from crest.schedule import PowerStates

WINDOW_S: Final = 10.0
REPETITIONS_MIN: Final = 10
WINDOWS: Final = 5
# Before and after each window.
_PAUSE_S: Final = 0.5


class Bench(Protocol):
    """Measures what runs draw.

    Attributes:
        identity: what ran and what measured: what a model names as its data.
        boundary: what was measured around.
        supply_volt: of the supply.
    """

    identity: str
    boundary: Boundary
    supply_volt: float

    def measure(self, run: ProbeRun) -> PowerRow:
        """Repeat a run in several windows of at least ten seconds and ten repetitions.

        Raises:
            MeterError: the meter is gone, or has seen nothing.
        """
        ...


class SimulatedBench:
    """A board whose power follows coefficients that the fit does not see, before a simulated meter.

    Args:
        hidden: the true coefficients; their intervals mean nothing here.
        meter: what sees the power.
        supply_volt: of the rail.
    """

    def __init__(self, hidden: EnergyModel, meter: SimulatedMeter, supply_volt: float) -> None:
        self.identity = f"simulated board {hidden.identity}, meter {meter.identity}"
        self.boundary: Boundary = hidden.boundary
        self.supply_volt = supply_volt
        self._hidden = hidden
        self._meter = meter

    def measure(self, run: ProbeRun) -> PowerRow:
        """Hand the meter the power of the run, and read what it saw."""
        once = self._repetition(run)
        repetition_s = sum(stretch.duration_s for stretch in once)
        repetitions = max(REPETITIONS_MIN, math.ceil(WINDOW_S / repetition_s))
        # A meter is slower than a repetition: what it sees of a window is the mean.
        energy_uj = sum(stretch.duration_s * stretch.power_uw for stretch in once)
        # In between the program goes on.
        window = Stretch(repetition_s * repetitions, energy_uj / repetition_s, marked=True)
        pause = Stretch(_PAUSE_S, energy_uj / repetition_s)
        recordings = []
        for _ in range(WINDOWS):
            self._meter.arm()
            self._meter.feed([pause, window, pause])
            recordings.append(self._meter.collect())
        return _row(run, read_windows(recordings, repetitions))

    def _repetition(self, run: ProbeRun) -> list[Stretch]:
        states = self._states(run)
        stretches = [Stretch(run.run_ms * 1e-3, _known(states.run_power_uw))]
        if run.sleep is not None:
            rest = states.sleep if run.sleep == "sleep" else states.deep_sleep
            stretches.append(Stretch(run.sleep_ms * 1e-3, _known(rest.power_uw)))
            if run.wake_ups:
                wake_s = max(1e-9, run.wake_ups * _known(rest.wake_up_ms) * 1e-3)
                stretches.append(Stretch(wake_s, run.wake_ups * _known(rest.wake_up_energy_uj) / wake_s))
        return stretches

    def _states(self, run: ProbeRun) -> PowerStates:
        work = Work(run.run_ms, run.counts, run.macs_by_operator)
        return self._hidden.states(run.clock_mhz, run.fetch_region, self.supply_volt, work)


def _row(run: ProbeRun, reading: Reading) -> PowerRow:
    if reading.energy_uj <= 0:
        raise MeterError(
            f"{run.name}: the meter sees no power", hint="is it in the supply line, and is its range right?"
        )
    return PowerRow(run=run, energy_uj=reading.energy_uj, spread=reading.spread, windows=reading.windows)


def _known(estimate: Estimate) -> float:
    if estimate.value is None:
        raise CalibrationError(
            f"the simulated board: {estimate.reason}", hint="give the hidden coefficients that state"
        )
    return estimate.value
