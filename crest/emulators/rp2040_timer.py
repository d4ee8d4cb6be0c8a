"""The timer of the RP2040 (its datasheet, chapter Timer): microseconds since power-up, and alarm 0."""

from __future__ import annotations

from typing import ClassVar, Final

from crest.emulators.timers import Timer


class Rp2040Timer(Timer):
    """The low word of the count, not latched, and one alarm; it counts from power-up on."""

    model = "rp2040-timer"
    runs = True
    _ALARM0, _ARMED, _RAW_LOW, _INTR, _INTE, _INTS = 0x10, 0x20, 0x28, 0x34, 0x38, 0x40
    registers: ClassVar[dict[int, int]] = {_ALARM0: 0, _INTE: 0}
    _FIRST: Final = 1 << 0

    def _read(self, offset: int) -> int | None:
        if offset == self._RAW_LOW:
            return self._counter.count
        if offset == self._INTR:
            return self._FIRST * self._compare.flag
        if offset == self._INTS:
            return self._FIRST * self.raised()
        return super()._read(offset)

    def _write(self, offset: int, value: int) -> bool:
        if offset == self._INTR:
            if value & self._FIRST:
                self._compare.clear()
            return True
        if offset == self._ARMED:
            if value & self._FIRST:
                self._compare.set(None)
            return True
        if (offset == self._INTE and value & ~self._FIRST) or not super()._write(offset, value):
            return False
        if offset == self._ALARM0:
            self._compare.set(value)
        self._enabled = bool(self._stored[self._INTE])
        return True
