"""What ends a wait: the next interrupt of a timer, to which virtual time moves on."""

from __future__ import annotations

from typing import Final

from crest.emulators.bus import Bus
from crest.emulators.clock import VirtualClock

WAKES: Final = (
    "the UART's receive interrupt wakes it, or a timer that compares ahead and whose interrupt is enabled in itself "
    "and in the NVIC; in deep sleep only one with an oscillator of its own (counts_hz)"
)


class Sleeper:
    """Lets a machine wait for its timers."""

    def __init__(self, bus: Bus, clock: VirtualClock) -> None:
        self._bus = bus
        self._clock = clock

    def wait(self) -> bool:
        """Wait, as WFI does, until an enabled interrupt pends; False where no timer will raise one."""
        if self._pends():
            return True
        state = self._bus.core.sleep_state
        due = [
            moment
            for timer in self._bus.timers
            if self._bus.core.nvic.enables(timer.interrupt) and (state == "sleep" or timer.runs_in_deep_sleep)
            if (moment := timer.rises_at()) is not None
        ]
        if not due:
            return False
        self._clock.sleep(state, until=min(due))
        return self._pends()

    def _pends(self) -> bool:
        return self._bus.core.nvic.wakes(timer.interrupt for timer in self._bus.timers if timer.raised())
