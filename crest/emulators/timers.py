"""What register models of timers share: they count, compare once, and raise an interrupt, which ends a wait."""

from __future__ import annotations

from typing import ClassVar, Final

from crest.emulators.counter import Comparator, Counter, counted_hz, interrupt_of
from crest.emulators.devices import AccessFaultError, Host
from crest.targets import Peripheral

WORD: Final = 0xFFFFFFFF


class Timer:
    """A free-running counter with a comparator whose flag raises an interrupt while it is enabled.

    Registers of one chip are a subclass: ``registers`` names those that are plain storage, with their reset values.
    """

    model = ""
    registers: ClassVar[dict[int, int]] = {}
    mask = WORD
    ahead = 1
    runs = False

    def __init__(self, name: str, peripheral: Peripheral, host: Host) -> None:
        self._name = name
        self.interrupt = interrupt_of(name, peripheral)
        self.runs_in_deep_sleep = peripheral.counts_hz is not None
        self._hz = counted_hz(name, peripheral, host)
        self._counter = Counter(host, self._hz, self.mask, self.runs)
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
