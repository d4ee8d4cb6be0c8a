"""A meter without hardware: it is handed the true power over time, and sees it as an instrument does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crest.errors import MeterError
from crest.measurement import Boundary
from crest.meters.base import check_supply
from crest.meters.recording import Mark, Recording, check_length


class Stretch(NamedTuple):
    """A time of constant power; the trigger line is up throughout where it is ``marked``."""

    duration_s: float
    power_uw: float
    marked: bool = False


class SimulatedMeter:
    """Samples a power trace, each sample the mean since the one before, with the errors of an instrument.

    Args:
        boundary: what the trace is the power of.
        supply_volt: of the supply.
        sample_rate_hz: of the samples.
        resolution_uw: samples are rounded to it; 0 leaves them as they are.
        noise: standard deviation of each sample, over its value.
        gain_spread: standard deviation of a factor that each recording has of its own, as a range or a temperature has.
        drift_per_s: by which part all samples grow each second since the meter was switched on.
        offset_uw: added to every sample.
        seed: of the noise.

    Raises:
        MeterError: an argument that no instrument has.
    """

    def __init__(
        self,
        boundary: Boundary = "mcu_rail",
        supply_volt: float | None = None,
        *,
        sample_rate_hz: float = 1000.0,
        resolution_uw: float = 0.0,
        noise: float = 0.0,
        gain_spread: float = 0.0,
        drift_per_s: float = 0.0,
        offset_uw: float = 0.0,
        seed: int = 0,
    ) -> None:
        check_supply(boundary, supply_volt)
        _check("sample_rate_hz", sample_rate_hz, 0 < sample_rate_hz < math.inf)
        for name, number in (("resolution_uw", resolution_uw), ("noise", noise), ("gain_spread", gain_spread)):
            _check(name, number, 0 <= number < math.inf)
        _check("drift_per_s", drift_per_s, math.isfinite(drift_per_s))
        _check("offset_uw", offset_uw, math.isfinite(offset_uw))
        _check("seed", seed, isinstance(seed, int) and seed >= 0)
        self.identity = f"simulated, noise {noise:g}, gain {gain_spread:g}, drift {drift_per_s:g}/s, seed {seed}"
        self.boundary: Boundary = boundary
        self.supply_volt = supply_volt
        self.sample_rate_hz: float | None = sample_rate_hz
        self.resolution_uw: float | None = resolution_uw
        self._interval_s = 1 / sample_rate_hz
        self._noise, self._gain_spread = noise, gain_spread
        self._drift_per_s, self._offset_uw = drift_per_s, offset_uw
        self._rng = np.random.default_rng(seed)
        self._on_s = 0.0
        self._trace: list[Stretch] | None = None

    def arm(self) -> None:
        """Begin to record."""
        self._trace = []

    def feed(self, trace: Sequence[Stretch]) -> None:
        """What the supply delivers next.

        Raises:
            MeterError: the meter is not armed, or a stretch makes no sense.
        """
        if self._trace is None:
            raise MeterError("the simulated meter was fed before it was armed")
        for stretch in trace:
            if not (0 < stretch.duration_s < math.inf and 0 <= stretch.power_uw < math.inf):
                raise MeterError(f"no stretch of a power trace: {stretch.duration_s} s at {stretch.power_uw} uW")
        self._trace += trace

    def collect(self) -> Recording:
        """Stop, and hand over what was seen."""
        if not self._trace:
            raise MeterError("the simulated meter has recorded nothing", hint="arm it, then feed it a power trace")
        trace, self._trace = self._trace, None
        ends_s = np.cumsum([stretch.duration_s for stretch in trace])
        check_length(2 * ends_s[-1] / self._interval_s, self.identity)
        energy = np.concatenate([[0.0], np.cumsum([s.duration_s * s.power_uw for s in trace])])
        edges_s = np.append(np.arange(0.0, ends_s[-1], self._interval_s), ends_s[-1])
        if len(edges_s) > 2 and edges_s[-1] - edges_s[-2] < 1e-9 * self._interval_s:
            edges_s = np.delete(edges_s, -2)
        means = np.diff(np.interp(edges_s, np.concatenate([[0.0], ends_s]), energy)) / np.diff(edges_s)
        seen = self._distort(means, edges_s[:-1])
        self._on_s += float(ends_s[-1])
        # Twice at each edge: the trapezoids of a staircase are the staircase.
        times = np.repeat(edges_s, 2)[1:-1]
        times[1:-1:2] -= 1e-6 * self._interval_s
        return Recording(times, np.repeat(seen, 2), _marks(trace, ends_s), self.identity)

    def close(self) -> None:
        """Nothing to release."""

    def _distort(self, means: np.ndarray, begins_s: np.ndarray) -> np.ndarray:
        gain = 1 + self._gain_spread * self._rng.standard_normal()
        seen = means * gain * (1 + self._drift_per_s * (self._on_s + begins_s)) + self._offset_uw
        seen *= 1 + self._noise * self._rng.standard_normal(len(seen))
        if self.resolution_uw:
            seen = np.round(seen / self.resolution_uw) * self.resolution_uw
        return np.maximum(seen, 0.0)


def _check(name: str, number: float, makes_sense: bool) -> None:
    if not makes_sense:
        raise MeterError(f"simulated meter: {name} is {number}", hint="a number that an instrument can have")


def _marks(trace: Sequence[Stretch], ends_s: np.ndarray) -> tuple[Mark, ...]:
    """Stretches that are marked, those that touch each other as one."""
    marks: list[Mark] = []
    begin_s, was_marked = 0.0, False
    for stretch, end in zip(trace, ends_s.tolist(), strict=True):
        if stretch.marked and was_marked:
            marks[-1] = Mark(marks[-1].begin_s, end)
        elif stretch.marked:
            marks.append(Mark(begin_s, end))
        begin_s, was_marked = end, stretch.marked
    return tuple(marks)
