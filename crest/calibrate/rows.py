"""What energy coefficients are fitted to: what a program executed, for how long, how it slept, and what that drew."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from crest.frozen import Frozen
from crest.measurement import Boundary
from crest.schedule import SleepName

UNITS_HINT: Final = "energies are those of one repetition in uJ, times in ms"
# What no repetition of a program reaches, and a figure in another unit may: eleven days, a kilojoule, 10**15 events.
_MOST_MS: Final = 1e9
_LEAST_UJ, _MOST_UJ = 1e-6, 1e9
_MOST_COUNT: Final = 10**15

Duration = Annotated[float, Field(ge=0, le=_MOST_MS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=_MOST_COUNT)]
Operator = Annotated[str, Field(min_length=1)]


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

    name: str = Field(min_length=1)
    group: Literal["probe", "network"]
    clock_mhz: float = Field(gt=0, allow_inf_nan=False)
    fetch_region: str
    counts: dict[str, Count]
    run_ms: float = Field(gt=0, le=_MOST_MS, allow_inf_nan=False)
    sleep: SleepName | None
    sleep_ms: Duration = 0
    wake_ups: Count = 0
    macs_by_operator: dict[Operator, Count] = {}

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
    energy_uj: float = Field(ge=_LEAST_UJ, le=_MOST_UJ, allow_inf_nan=False)
    spread: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    windows: int = Field(default=1, ge=1, le=_MOST_COUNT)


class Origin(NamedTuple):
    """Where rows come from: what measured what, around which boundary, at which supply."""

    identity: str
    boundary: Boundary
    supply_volt: float
    temperature_c: float | None = None
