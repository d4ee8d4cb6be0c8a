"""The cycle counter as firmware sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from crest.emulators.base import CycleCount
from crest.emulators.counted import window_parts
from crest.emulators.counts import BlockAt
from crest.emulators.hooks import Hooks
from crest.errors import EmulationError


class VirtualClock:
    """Cycles since power-up, never going back.

    Within a latency window they are those of a cycle model, given the counts since the window opened: firmware that
    reads its counter there measures what the host predicts, to the block that it reads in. Elsewhere, and without a
    model, a halfword of code stands for a cycle, which makes delays end and measures nothing.

    Args:
        hooks: that count what is executed.
        block_at: analysis of the block at (address, size in bytes).
        cycles: of the counts of a part of a window.
    """

    def __init__(self, hooks: Hooks, block_at: BlockAt, cycles: CycleCount | None) -> None:
        self._hooks = hooks
        self._block_at = block_at
        self._cycles = cycles
        self._window: int | None = None
        self._window_start = 0
        self._last, self._last_halfwords = 0, 0

    def now(self) -> int:
        """The cycles at this moment."""
        state = self._hooks.state
        halfwords = int(state.halfwords)
        now = self._last + halfwords - self._last_halfwords
        if self._cycles is not None and state.counting:
            if self._window != state.windows:
                self._window = int(state.windows)
                self._window_start = self._last + max(0, int(state.opened_at) - self._last_halfwords)
            with suppress(EmulationError):  # code that the target does not have: the profile will say so
                now = self._window_start + round(self._cycles(self._counts()))
        self._last, self._last_halfwords = max(now, self._last), halfwords
        return self._last

    def _counts(self) -> Mapping[str, int]:
        """Counts since the window opened."""
        total: Counter[str] = Counter()
        for part in window_parts(self._hooks, self._block_at, self._hooks.open_bank):
            for counts in part.values():
                total.update(counts)
        return total
