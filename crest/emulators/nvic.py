"""The interrupt controller as far as sleep needs it: interrupts pend and end a wait; none is ever taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crest.emulators.devices import AccessFaultError

NVIC: Final = range(0xE100, 0xE300)
_BANK_BYTES: Final = 0x80
_ENABLE, _DISABLE, _PEND, _CLEAR = range(4)  # ISER, ICER, ISPR, ICPR


class Nvic:
    """Enabled and pending interrupts, as bits of one number each.

    An interrupt pends from the moment that its line is seen raised until firmware clears it; while the line stays
    raised it pends again.
    """

    def __init__(self) -> None:
        self._enabled = self._pending = 0

    def read(self, offset: int, size: int) -> int:
        """Value of a register."""
        bank, shift = self._place(offset, size)
        word = self._pending if bank in (_PEND, _CLEAR) else self._enabled
        return word >> shift & 0xFFFFFFFF

    def write(self, offset: int, size: int, value: int) -> None:
        """Set or clear what the bits of a register stand for."""
        bank, shift = self._place(offset, size)
        bits = value << shift
        if bank == _ENABLE:
            self._enabled |= bits
        elif bank == _DISABLE:
            self._enabled &= ~bits
        elif bank == _PEND:
            self._pending |= bits
        else:
            self._pending &= ~bits

    def enables(self, interrupt: int) -> bool:
        """Whether an interrupt can end a wait."""
        return bool(self._enabled >> interrupt & 1)

    def wakes(self, raised: Iterable[int]) -> bool:
        """Whether a core that waits runs on, given the interrupts whose lines are raised now."""
        for interrupt in raised:
            self._pending |= 1 << interrupt
        return bool(self._enabled & self._pending)

    @staticmethod
    def _place(offset: int, size: int) -> tuple[int, int]:
        if size != 4:
            raise AccessFaultError("access to the NVIC of less than a word")
        bank, within = divmod(offset - NVIC.start, _BANK_BYTES)
        return bank, 8 * within
