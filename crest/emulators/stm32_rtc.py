"""The RTC of STM32 (RM0390, chapter RTC) as a timer: its sub-seconds, and alarm A that compares nothing else."""

from __future__ import annotations

from typing import ClassVar, Final

from crest.emulators.counter import Counter
from crest.emulators.devices import AccessFaultError, Host
from crest.emulators.timers import WORD, Timer
from crest.targets import Peripheral


class Stm32Rtc(Timer):
    """A calendar whose second has 32768 counts, set up by firmware; SSR counts them down, and is read past its copy.

    What may take up to two counts of the crystal takes two: entering the set-up, and letting go of the alarm.
    """

    model = "stm32-rtc"
    mask = 0x7FFF
    ahead = 3
    _CR, _ISR, _PRER, _ALRMAR, _WPR, _SSR, _ALRMASSR = 0x08, 0x0C, 0x10, 0x1C, 0x24, 0x28, 0x44
    registers: ClassVar[dict[int, int]] = {_CR: 0, _PRER: 0x007F00FF, _ALRMAR: 0, _ALRMASSR: 0}
    _KEYS: Final = (0xCA, 0x53)
    _BYPSHAD, _ALRAE, _ALRAIE = 1 << 5, 1 << 8, 1 << 12
    _ALRAWF, _INITF, _INIT, _ALRAF = 1 << 0, 1 << 6, 1 << 7, 1 << 8
    _ANY_TIME: Final = 0x80808080
    _ALL_BITS: Final = 15 << 24
    _TAKES: Final = 2

    def __init__(self, name: str, peripheral: Peripheral, host: Host) -> None:
        super().__init__(name, peripheral, host)
        self._clock = Counter(host, self._hz, WORD, runs=True)
        self._keys: tuple[int, ...] = ()
        self._init_since: int | None = None  # counts of the crystal; None outside of the set-up
        self._free_since = 0  # since when alarm A is off

    def _read(self, offset: int) -> int | None:
        if offset == self._SSR and self._stored[self._CR] & self._BYPSHAD:
            return self.mask - self._counter.count
        return self._status() if offset == self._ISR else super()._read(offset)

    def _status(self) -> int:
        status = self._ALRAF * self._compare.flag
        if self._init_since is not None:
            ready = self._clock.total() - self._init_since >= self._TAKES
            status |= self._INIT | self._INITF * ready
        if not self._stored[self._CR] & self._ALRAE and self._clock.total() - self._free_since >= self._TAKES:
            status |= self._ALRAWF
        return status

    def _write(self, offset: int, value: int) -> bool:
        if offset == self._WPR:
            self._keys = (*self._keys, value)[-len(self._KEYS) :]
            return True
        if self._keys != self._KEYS:
            raise AccessFaultError(
                f"{self._name}: the register at offset {offset:#05x} is written while it is protected",
                hint="0xCA and 0x53 are written to WPR first, and DBP of PWR is set",
            )
        if offset == self._ISR:
            self._set_status(value)
            return True
        if not self._makes_sense(offset, value) or not super()._write(offset, value):
            return False
        if offset == self._PRER:
            self._counter.set_hz(self._hz / ((value >> 16) + 1))
        elif offset == self._CR:
            self._control(value)
        return True

    def _makes_sense(self, offset: int, value: int) -> bool:
        if offset == self._CR:
            return not value & ~(self._BYPSHAD | self._ALRAE | self._ALRAIE)
        if offset == self._PRER:
            return bool(self._status() & self._INITF) and value & 0xFFFF == self.mask
        if not self._status() & self._ALRAWF:
            return False
        return value == self._ANY_TIME if offset == self._ALRMAR else value & ~self.mask == self._ALL_BITS

    def _set_status(self, value: int) -> None:
        """Flags are cleared by writing 0; INIT is set and cleared."""
        if not value & self._ALRAF:
            self._compare.clear()
        if value & self._INIT and self._init_since is None:
            self._init_since = self._clock.total()
            self._counter.stop()
        elif not value & self._INIT and self._init_since is not None:
            self._init_since = None
            self._compare.load(0)
            self._counter.start()

    def _control(self, value: int) -> None:
        is_on = bool(value & self._ALRAE)
        self._enabled = is_on and bool(value & self._ALRAIE)
        if not is_on:
            if self._compare.is_set:
                self._free_since = self._clock.total()
            self._compare.set(None)
        elif not self._compare.is_set:
            self._compare.set(self.mask - (self._stored[self._ALRMASSR] & self.mask))
