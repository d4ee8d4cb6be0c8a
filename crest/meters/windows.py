"""From recordings to the energy of one repetition: the median over several windows, and their spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from crest.errors import MeterError
from crest.frozen import Frozen
from crest.meters.recording import Recording

SPREAD_LIMIT = 0.01
"""Windows that differ by more than this part of their median are flagged."""


class Reading(Frozen):
    """What one repetition costs, from windows of several repetitions each.

    Attributes:
        energy_uj: median over the windows.
        duration_ms: median over the windows.
        spread: largest less smallest energy of a window, over their median.
        windows: how many there were.
    """

    energy_uj: float
    duration_ms: float
    spread: float
    windows: int

    @property
    def is_steady(self) -> bool:
        """Whether the windows agree."""
        return self.spread <= SPREAD_LIMIT


def read_windows(recordings: Sequence[Recording], repetitions: int) -> Reading:
    """Read the marked windows of one recording or of several.

    Args:
        recordings: with a mark around each window.
        repetitions: of the program, in each window.

    Raises:
        MeterError: a recording without marks, a mark that takes no time or lies outside of it, or no repetitions.
    """
    for recording in recordings:
        if not recording.marks:
            raise MeterError(
                f"{recording.origin}: no window is marked", hint="is the trigger line connected, and in the recording?"
            )
        for mark in recording.marks:
            if not mark.begin_s < mark.end_s:
                raise MeterError(f"{recording.origin}: a window from {mark.begin_s:g} s to {mark.end_s:g} s is none")
    if not 1 <= repetitions < math.inf or not recordings:
        raise MeterError(f"{len(recordings)} recordings, {repetitions} repetitions in a window: nothing was measured")
    windows = [(recording, mark) for recording in recordings for mark in recording.marks]
    energies = np.array([recording.energy_uj(*mark) for recording, mark in windows]) / repetitions
    durations = np.array([mark.end_s - mark.begin_s for _, mark in windows]) / repetitions
    middle = float(np.median(energies))
    return Reading(
        energy_uj=middle,
        duration_ms=1e3 * float(np.median(durations)),
        spread=float(np.ptp(energies) / middle) if middle else 0.0,
        windows=len(energies),
    )
