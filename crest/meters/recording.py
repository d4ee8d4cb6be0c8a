"""What a meter records: power over time, and marks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crest.errors import MeterError

SAMPLES_MAX = 50_000_000
"""Of one recording: some minutes at the rate of a fast meter, and a few GB while it is read."""

_UJ_PER_UW_S = 1.0


class Mark(NamedTuple):
    """A time during which the trigger line was up, in seconds of the recording."""

    begin_s: float
    end_s: float


class Recording:
    """Power over time; between two samples it is taken to change evenly (trapezoids).

    Args:
        time_s: [samples], growing.
        power_uw: [samples], not below zero.
        marks: in order.
        origin: file or meter, for messages.

    Raises:
        MeterError: fewer than two samples or more than ``SAMPLES_MAX``, times that do not grow, or power that is no
            number or below zero.
    """

    def __init__(
        self, time_s: ArrayLike, power_uw: ArrayLike, marks: tuple[Mark, ...] = (), origin: str = "recording"
    ) -> None:
        self.time_s: NDArray[np.float64] = np.asarray(time_s, float)
        self.power_uw: NDArray[np.float64] = np.asarray(power_uw, float)
        self.marks = marks
        self.origin = origin
        self._check()
        with np.errstate(over="ignore"):
            steps = np.diff(self.time_s) * (self.power_uw[1:] + self.power_uw[:-1]) / 2
            self._energy_uj = np.concatenate([[0.0], np.cumsum(steps)]) * _UJ_PER_UW_S
        if not np.isfinite(self._energy_uj[-1]):
            raise MeterError(f"{self.origin}: its energy is no number", hint="are time and power in the units named?")

    def energy_uj(self, begin_s: float, end_s: float) -> float:
        """Energy between two moments.

        Raises:
            MeterError: they do not follow each other, or lie outside of the recording.
        """
        if not self.time_s[0] <= begin_s <= end_s <= self.time_s[-1]:
            raise MeterError(
                f"{self.origin}: {begin_s:g} s to {end_s:g} s lies outside of what was recorded,"
                f" {self.time_s[0]:g} s to {self.time_s[-1]:g} s",
                hint="record longer, or arm the meter earlier",
            )
        return self._until_uj(end_s) - self._until_uj(begin_s)

    def mean_power_uw(self, begin_s: float, end_s: float) -> float:
        """Mean power between two moments that differ; see ``energy_uj``."""
        if begin_s == end_s:
            raise MeterError(f"{self.origin}: no mean over no time, at {begin_s:g} s")
        return self.energy_uj(begin_s, end_s) / (end_s - begin_s) / _UJ_PER_UW_S

    def _until_uj(self, moment_s: float) -> float:
        """Energy from the first sample on."""
        last = min(int(np.searchsorted(self.time_s, moment_s, side="right")) - 1, len(self.time_s) - 2)
        since_s = moment_s - self.time_s[last]
        slope = (self.power_uw[last + 1] - self.power_uw[last]) / (self.time_s[last + 1] - self.time_s[last])
        return float(self._energy_uj[last] + since_s * (self.power_uw[last] + slope * since_s / 2) * _UJ_PER_UW_S)

    def _check(self) -> None:
        if self.time_s.ndim != 1 or self.time_s.shape != self.power_uw.shape or len(self.time_s) < 2:
            raise MeterError(f"{self.origin}: a recording has two samples at least, each with a time and a power")
        check_length(len(self.time_s), self.origin)
        bad = first_bad_sample(self.time_s, self.power_uw)
        if bad is not None:
            raise MeterError(f"{self.origin}: sample {bad.sample + 1}: {bad.text}")


def check_length(samples: int | float, origin: str) -> None:
    """Refuse a recording before it fills the memory.

    Raises:
        MeterError: more samples than ``SAMPLES_MAX``.
    """
    if samples > SAMPLES_MAX:
        raise MeterError(
            f"{origin}: more than {SAMPLES_MAX:,} samples", hint="record for a shorter time, or at a lower rate"
        )


class BadSample(NamedTuple):
    """The place of a sample, from 0, and what is wrong with it."""

    sample: int
    text: str


def first_bad_sample(time_s: NDArray[np.float64], power_uw: NDArray[np.float64]) -> BadSample | None:
    """The first sample that no recording may hold; None where all are in order.

    Args:
        time_s: [samples].
        power_uw: [samples].
    """
    found = []
    for values, wrong, text in (
        (time_s, ~np.isfinite(time_s), "a time is no number"),
        (power_uw, ~np.isfinite(power_uw), "a power is no number"),
        (power_uw, power_uw < 0, "power is below zero"),
        (time_s, np.concatenate([[False], np.diff(time_s) <= 0]), "time does not grow"),
    ):
        if wrong.any():
            at = int(np.argmax(wrong))
            found.append(BadSample(at, f"{text}: {values[at]:g}"))
    return min(found, key=lambda bad: bad.sample, default=None)
