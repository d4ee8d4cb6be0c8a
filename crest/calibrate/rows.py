"""One run of a program that energy coefficients are fitted to: what it executed, for how long, and how it slept."""

from __future__ import annotations

from typing import Literal

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
