"""What energy coefficients are fitted to: what a program executed, for how long, how it slept, and what that drew."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crest.frozen import Frozen
from crest.schedule import SleepName


class ProbeRun(Frozen):
    """A probe or a sampled network on a target.

    Attributes:
        counts: of an execution profile, over one repetition (``crest.emulators.profile``).
        run_ms: of one repetition, spent running.
        sleep: the state between two repetitions; None where they follow each other.
        sleep_ms: of one repetition, spent in that state.
        wake_ups: of one repetition.
        macs_by_operator: nominal multiply-accumulates of a network, by kind of operator.
    """

    name: str
    group: Literal["probe", "network"]
    clock_mhz: float
    fetch_region: str
    counts: dict[str, int]
    run_ms: float
    sleep: SleepName | None
    sleep_ms: float = 0
    wake_ups: int = 0
    macs_by_operator: dict[str, int] = {}


class PowerRow(Frozen):
    """What one repetition of a run drew.

    Attributes:
        run: the program; its times are those that were measured, where they were.
        energy_uj: of one repetition, median over the windows.
        spread: largest less smallest energy of a window, over their median; None where it is not known.
        windows: that were measured.
    """

    run: ProbeRun
    energy_uj: float = Field(gt=0, allow_inf_nan=False)
    spread: float | None = None
    windows: int = Field(default=1, ge=1)
