"""TIMER and RTC of Nordic (nRF52840 product specification, chapters TIMER and RTC)."""

from __future__ import annotations

from typing import ClassVar, Final

from crest.emulators.devices import AccessFaultError
from crest.emulators.timers import Timer


class _Nordic(Timer):
    """What TIMER and RTC of Nordic share: tasks, the event of CC[0], and its interrupt."""

    _START, _STOP, _CLEAR, _COMPARE0 = 0x000, 0x004, 0x008, 0x140
    _INTENSET, _INTENCLR, _CC0 = 0x304, 0x308, 0x540
    _INTERRUPT: Final = 1 << 16

    def _read(self, offset: int) -> int | None:
        if offset == self._COMPARE0:
            return int(self._compare.flag)
        if offset in (self._INTENSET, self._INTENCLR):
            return self._INTERRUPT * self._enabled
        return super()._read(offset)

    def _write(self, offset: int, value: int) -> bool:
        if offset in (self._START, self._STOP, self._CLEAR):
            if value & 1:
                self._task(offset)
        elif offset == self._COMPARE0 and value == 0:
            self._compare.clear()
        elif offset in (self._INTENSET, self._INTENCLR) and not value & ~self._INTERRUPT:
            if value:
                self._enabled = offset == self._INTENSET
        elif super()._write(offset, value):
            if offset == self._CC0:
                self._compare.set(value & self.mask)
        else:
            return False
        return True

    def _task(self, offset: int) -> None:
        if offset == self._START:
            self._counter.start()
        elif offset == self._STOP:
            self._counter.stop()
        else:
            self._compare.load(0)


class NordicTimer(_Nordic):
    """TIMER, 32 bits wide; a count is captured into CC[1]."""

    model = "nrf-timer"
    _CLEAR, _CAPTURE1, _CC1, _BITMODE, _PRESCALER, _MODE = 0x00C, 0x044, 0x544, 0x508, 0x510, 0x504
    registers: ClassVar[dict[int, int]] = {_Nordic._CC0: 0, _CC1: 0, _BITMODE: 0, _PRESCALER: 4, _MODE: 0}
    _BITS_32: Final = 3

    def _write(self, offset: int, value: int) -> bool:
        if offset == self._CAPTURE1:
            if value & 1:
                self._stored[self._CC1] = self._counter.count
            return True
        if offset == self._MODE and value != 0:
            return False
        if not super()._write(offset, value):
            return False
        if offset == self._PRESCALER:
            self._counter.set_hz(self._hz / 2 ** (value & 15))
        return True

    def _task(self, offset: int) -> None:
        if offset == self._START and self._stored[self._BITMODE] != self._BITS_32:
            raise AccessFaultError(f"{self._name}: only BITMODE 3, a counter of 32 bits, is modelled")
        if offset == self._START:
            self._counter.set_hz(self._hz / 2 ** (self._stored[self._PRESCALER] & 15))
        super()._task(offset)


class NordicRtc(_Nordic):
    """RTC, 24 bits wide; a value less than two counts ahead is not met."""

    model = "nrf-rtc"
    mask = 0xFFFFFF
    ahead = 2
    _COUNTER, _PRESCALER = 0x504, 0x508
    registers: ClassVar[dict[int, int]] = {_Nordic._CC0: 0, _PRESCALER: 0}

    def _read(self, offset: int) -> int | None:
        return self._counter.count if offset == self._COUNTER else super()._read(offset)

    def _write(self, offset: int, value: int) -> bool:
        if not super()._write(offset, value):
            return False
        if offset == self._PRESCALER:
            self._counter.set_hz(self._hz / ((value & 0xFFF) + 1))
        return True
