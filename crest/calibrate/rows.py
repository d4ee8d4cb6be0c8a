"""What energy coefficients are fitted to: what a program executed, for how long, how it slept, and what that drew."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from crest.frozen import Frozen
from crest.schedule import SleepName

Duration = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
    clock_mhz: float = Field(gt=0, allow_inf_nan=False)
    fetch_region: str
    counts: dict[str, NonNegativeInt]
    run_ms: float = Field(gt=0, allow_inf_nan=False)
    sleep: SleepName | None
    sleep_ms: Duration = 0
    wake_ups: NonNegativeInt = 0
    macs_by_operator: dict[str, NonNegativeInt] = {}

    @model_validator(mode="after")
    def _sleeps_in_a_state(self) -> ProbeRun:
        if self.sleep is None and (self.sleep_ms or self.wake_ups):
            raise ValueError("sleep_ms or wake_ups, and no state to sleep in")
        if self.sleep is not None and not self.sleep_ms:
            raise ValueError(f"{self.sleep} for no time: sleep_ms")
        return self


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
    spread: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    windows: int = Field(default=1, ge=1)
