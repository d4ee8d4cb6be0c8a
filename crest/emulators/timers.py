"""Timers that end a wait: register models of what firmware needs of them, which is to count and to compare once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from crest.emulators.counter import Comparator, Counter, counted_hz, interrupt_of
from crest.emulators.devices import AccessFaultError, Device, Host
from crest.targets import Peripheral

_WORD: Final = 0xFFFFFFFF


class Timer:
    """A free-running counter with a comparator whose flag raises an interrupt while it is enabled.

    Registers of one chip are a subclass: ``registers`` names those that are plain storage, with their reset values.
    """

    model = ""
    registers: ClassVar[dict[int, int]] = {}
    mask = _WORD
    ahead = 1

    def __init__(self, name: str, peripheral: Peripheral, host: Host) -> None:
        self._name = name
        self.interrupt = interrupt_of(name, peripheral)
        self.runs_in_deep_sleep = peripheral.counts_hz is not None
        self._hz = counted_hz(name, peripheral, host)
        self._counter = Counter(host, self._hz, self.mask)
        self._compare = Comparator(self._counter, self.ahead)
        self._enabled = False
        self._stored = dict(self.registers)

    def raised(self) -> bool:
        """Whether the interrupt line is raised now."""
        return self._enabled and self._compare.flag

    def rises_at(self) -> int | None:
        """The cycle of the virtual clock at which the line, now low, will rise by itself; None for never."""
        return self._compare.due() if self._enabled else None

    def read(self, offset: int, size: int) -> int:
        """Value of a register."""
        value = self._read(offset) if size == 4 else None
        if value is None:
            raise self._beyond("read", offset, size)
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a register or trigger a task."""
        if size != 4 or not self._write(offset, value):
            raise self._beyond("write", offset, size)

    def _read(self, offset: int) -> int | None:
        """Value of a register; None for one that is not modelled."""
        return self._stored.get(offset)

    def _write(self, offset: int, value: int) -> bool:
        """Set a register; False for one that is not modelled."""
        if offset not in self._stored:
            return False
        self._stored[offset] = value
        return True

    def _beyond(self, verb: str, offset: int, size: int) -> AccessFaultError:
        return AccessFaultError(
            f"{self._name}: {verb} of {size} bytes at offset {offset:#05x} is beyond the model {self.model}",
            hint="modelled are counting up, one comparator and its interrupt, in accesses of words",
        )


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
    """TIMER (nRF52840 product specification, chapter TIMER): 32 bits wide; a count is captured into CC[1]."""

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
    """RTC (nRF52840 product specification, chapter RTC): a value less than two counts ahead is not met."""

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


class Stm32Timer(Timer):
    """A general-purpose timer of 32 bits, such as TIM2 (RM0390, chapter TIM2 to TIM5), counting up unprescaled."""

    model = "stm32-tim"
    _CR1, _DIER, _SR, _CNT, _ARR, _CCR1 = 0x00, 0x0C, 0x10, 0x24, 0x2C, 0x34
    registers: ClassVar[dict[int, int]] = {_CR1: 0, _DIER: 0, _ARR: _WORD, _CCR1: 0}
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
        allowed = {self._CR1: self._ENABLE, self._DIER: self._CC1, self._ARR: _WORD, self._CCR1: _WORD}
        if value & ~allowed.get(offset, 0) or (offset == self._ARR and value != _WORD):
            return False
        if not super()._write(offset, value):
            return False
        if offset == self._CR1:
            (self._counter.start if value else self._counter.stop)()
        elif offset == self._CCR1:
            self._compare.set(value)
        self._enabled = bool(self._stored[self._DIER])
        return True


TIMERS: Final[dict[str, Callable[[str, Peripheral, Host], Device]]] = {
    timer.model: timer for timer in (NordicTimer, NordicRtc, Stm32Timer)
}
