"""Timers of STM32: TIM2 (RM0390, chapter TIM2 to TIM5) and LPTIM (RM0444, chapter LPTIM)."""

from __future__ import annotations

from typing import ClassVar, Final

from crest.emulators.counter import Counter
from crest.emulators.devices import AccessFaultError, Host
from crest.emulators.timers import WORD, Timer
from crest.targets import Peripheral


class Stm32Timer(Timer):
    """A general-purpose timer of 32 bits, such as TIM2, counting up without a prescaler."""

    model = "stm32-tim"
    _CR1, _DIER, _SR, _CNT, _ARR, _CCR1 = 0x00, 0x0C, 0x10, 0x24, 0x2C, 0x34
    registers: ClassVar[dict[int, int]] = {_CR1: 0, _DIER: 0, _ARR: WORD, _CCR1: 0}
    _ENABLE: Final = 1
    _CC1: Final = 1 << 1

    def _read(self, offset: int) -> int | None:
        if offset == self._CNT:
            return self._counter.count
        if offset == self._SR:
            return self._CC1 * self._compare.flag
        return super()._read(offset)

    def _write(self, offset: int, value: int) -> bool:
        if offset == self._SR:
            if not value & self._CC1:  # a flag is cleared by writing 0
                self._compare.clear()
            return True
        if offset == self._CNT:
            self._compare.load(value)
            return True
        allowed = {self._CR1: self._ENABLE, self._DIER: self._CC1, self._ARR: WORD, self._CCR1: WORD}
        if value & ~allowed.get(offset, 0) or (offset == self._ARR and value != WORD):
            return False
        if not super()._write(offset, value):
            return False
        if offset == self._CR1:
            (self._counter.start if value else self._counter.stop)()
        elif offset == self._CCR1:
            self._compare.set(value)
        self._enabled = bool(self._stored[self._DIER])
        return True


class Stm32LowPowerTimer(Timer):
    """LPTIM, 16 bits wide, on its kernel clock, which CFGR may divide.

    What is written to CMP or ARR arrives ``_ARRIVES`` counts later, and CMPOK or ARROK say so: the manual gives two
    counts and more.
    """

    model = "stm32-lptim"
    mask = 0xFFFF
    ahead = 3
    _ISR, _ICR, _IER, _CFGR, _CR, _CMP, _ARR, _CNT = range(0x00, 0x20, 4)
    registers: ClassVar[dict[int, int]] = {_IER: 0, _CFGR: 0, _CR: 0, _CMP: 0, _ARR: 1}
    _MATCH: Final = 1 << 0
    _FLAGS: ClassVar[dict[int, int]] = {_CMP: 1 << 3, _ARR: 1 << 4}
    _ENABLE, _START = 1 << 0, 1 << 2
    _ARRIVES: Final = 3
    _PRESCALER: Final = 7 << 9

    def __init__(self, name: str, peripheral: Peripheral, host: Host) -> None:
        super().__init__(name, peripheral, host)
        self._clock = Counter(host, self._hz, WORD, runs=True)
        self._arrives: dict[int, int] = {}  # by register: the count of its clock at which the last write arrives

    def _read(self, offset: int) -> int | None:
        if offset == self._CNT:
            return self._counter.count
        if offset == self._ISR:
            done = (self._FLAGS[register] for register, at in self._arrives.items() if self._clock.total() >= at)
            return self._MATCH * self._compare.flag | sum(done)
        return super()._read(offset)

    def _write(self, offset: int, value: int) -> bool:
        if offset == self._ICR:
            self._clear(value)
            return True
        enabled = bool(self._stored[self._CR] & self._ENABLE)
        allowed = {
            self._IER: self._MATCH,
            self._CFGR: self._PRESCALER,
            self._CR: self._ENABLE | self._START,
            self._CMP: self.mask,
        }
        if value & ~allowed.get(offset, 0) and (offset, value) != (self._ARR, self.mask):
            return False
        if (offset in (self._CMP, self._ARR) and not enabled) or (offset in (self._IER, self._CFGR) and enabled):
            raise AccessFaultError(
                f"{self._name}: the register at offset {offset:#05x} is written while ENABLE is {int(enabled)}",
                hint="IER and CFGR before it is enabled, CMP and ARR after that",
            )
        if not super()._write(offset, value):
            return False
        if offset in self._FLAGS:
            self._arrives[offset] = self._clock.total() + self._ARRIVES
        if offset == self._CMP:
            self._compare.set(value)
        elif offset == self._CFGR:
            self._counter.set_hz(self._hz / 2 ** (value >> 9))
        elif offset == self._CR:
            self._control(value)
        self._enabled = bool(self._stored[self._IER])
        return True

    def _clear(self, flags: int) -> None:
        if flags & self._MATCH:
            self._compare.clear()
        for register, flag in self._FLAGS.items():
            if flags & flag and self._clock.total() >= self._arrives.get(register, 0):
                self._arrives.pop(register, None)

    def _control(self, value: int) -> None:
        if not value & self._ENABLE:
            self._counter.stop()
            self._compare.load(0)
        elif value & self._START:
            self._counter.start()
