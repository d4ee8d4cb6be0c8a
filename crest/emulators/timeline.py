"""What a board did when, in virtual time: the latency windows, and the waits between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from crest.schedule import SleepName

State = Literal["run", "wake_up", "sleep", "deep_sleep"]
RUN: Final = "run"
WAKE_UP: Final = "wake_up"


@dataclass(frozen=True)
class Window:
    """A latency window, in cycles since power-up."""

    opened: int
    closed: int


@dataclass(frozen=True)
class Rest:
    """A wait for an interrupt, in cycles since power-up: asleep from ``begin`` to ``end``, awake from ``awake`` on."""

    state: SleepName
    begin: int
    end: int
    awake: int


@dataclass(frozen=True)
class Stretch:
    """Cycles spent in one state."""

    state: State
    cycles: int


@dataclass
class Timeline:
    """Windows and rests since power-up, in order; ``unseen_windows`` were too close to another one to be timed."""

    windows: list[Window] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    unseen_windows: int = 0

    def stretches(self, begin: int, end: int) -> list[Stretch]:
        """The states between two moments, in order; states of no length are left out, but for wake-ups.

        ``begin`` may be the end of a rest: then its wake-up comes first.
        """
        marks: list[tuple[State, int]] = []
        for rest in self.rests:
            if begin <= rest.begin and rest.end <= end:
                marks += [(RUN, rest.begin), (rest.state, rest.end)]
            if begin <= rest.end < end:
                marks.append((WAKE_UP, min(rest.awake, end)))
        found: list[Stretch] = []
        at = begin
        for state, until in [*marks, (RUN, end)]:
            if until > at or state == WAKE_UP:
                found.append(Stretch(state, until - at))
                at = until
        return found
