"""The virtual clock of a machine: what its counters read, and what it did when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from crest.emulators.base import CycleCount
from crest.emulators.counted import window_parts
from crest.emulators.counts import BlockAt
from crest.emulators.hooks import Hooks
from crest.emulators.timeline import Rest, Timeline, Window
from crest.errors import EmulationError
from crest.schedule import SleepName


class VirtualClock:
    """Cycles of the core's clock since power-up, never going back; they go on while the core sleeps.

    A latency window takes the cycles of a cycle model, given the counts since it opened: firmware that reads its
    counter there measures what the host predicts, to the block that it reads in. Elsewhere, and without a model, a
    halfword of code stands for a cycle, which makes delays end and measures nothing. Of windows that follow each other
    without a look at the clock in between, only the last one takes its modelled cycles.

    Args:
        hooks: that count what is executed.
        block_at: analysis of the block at (address, size in bytes).
        cycles: of the counts of a part of a window.
    """

    def __init__(self, hooks: Hooks, block_at: BlockAt, cycles: CycleCount | None) -> None:
        self._hooks = hooks
        self._block_at = block_at
        self._cycles = cycles
        self.timeline = Timeline()
        self.wake_up_cycles: dict[SleepName, int] = {}
        self._at, self._halfwords = 0, 0  # the clock when that much code had run, outside of any window
        self._awake_at = 0
        self._seen_windows = 0
        self._opened: tuple[int, int] | None = None  # number of the window that is open, and when it opened
        self._last = 0

    def now(self) -> int:
        """The cycles at this moment."""
        state = self._hooks.state
        if self._cycles is None:
            return int(state.halfwords) + self._at - self._halfwords
        self._pass_closed_windows()
        if state.counting:
            now = self._open(int(state.bank)) + self._modelled(int(state.bank))
        else:
            now = self._at + int(state.halfwords) - self._halfwords
        self._last = max(now, self._last)
        return self._last

    def sleep(self, state: SleepName, until: int) -> None:
        """Let the core wait from now on, and wake up at a moment; if that has passed, it does not wait.

        The wake-up takes ``wake_up_cycles`` of its state: what runs meanwhile is part of it, and a latency window or
        another wait begins no sooner.
        """
        begin = max(self.now(), self._awake_at)
        end = max(begin, until)
        if end > begin:
            self._awake_at = end + self.wake_up_cycles.get(state, 0)
            self.timeline.rests.append(Rest(state, begin, end, self._awake_at))
        self._set(end, int(self._hooks.state.halfwords))

    def _set(self, at: int, halfwords: int) -> None:
        self._at, self._halfwords = at, halfwords
        self._last = max(at, self._last)

    def _pass_closed_windows(self) -> None:
        """Move the clock behind the windows that were completed since the last look."""
        state = self._hooks.state
        closed = int(state.windows) - self._seen_windows
        if not closed:
            return
        bank = self._hooks.complete_bank
        self.timeline.unseen_windows += closed - 1
        self._seen_windows += closed - 1
        opened = self._open(bank)
        self._seen_windows += 1
        end = opened + self._modelled(bank)
        self.timeline.windows.append(Window(opened, end))
        self._set(end, int(state.closed_at[bank]))

    def _open(self, bank: int) -> int:
        """When the window that is counted into a bank opened: the one after those that were seen."""
        if self._opened is None or self._opened[0] != self._seen_windows:
            before = max(0, int(self._hooks.state.opened_at[bank]) - self._halfwords)
            self._opened = (self._seen_windows, max(self._at + before, self._awake_at))
        return self._opened[1]

    def _modelled(self, bank: int) -> int:
        """Cycles of a window so far; those that it can tell nothing of stand still: the profile will say why."""
        assert self._cycles is not None
        with suppress(EmulationError):  # code that the target does not have
            return round(self._cycles(self._counts(bank)))
        return 0

    def _counts(self, bank: int) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for part in window_parts(self._hooks, self._block_at, bank):
            for counts in part.values():
                total.update(counts)
        return total
