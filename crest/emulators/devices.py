"""Peripherals as register models: what a device offers to the bus, and what the machine offers to a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

from crest.targets import Follower, Peripheral

# More than firmware that counts down a timeout does, and some seconds.
_REPEATS_MAX: Final = 5_000_000


class AccessFaultError(Exception):
    """Raised by a device: an access that is a fault on silicon, or beyond the model. The machine adds where."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Host(Protocol):
    """What a device may ask of the machine that it sits in."""

    def read_ram(self, address: int, size_bytes: int) -> bytes:
        """Bytes of RAM as a DMA sees it; a range outside of RAM is an AccessFaultError."""
        ...

    def write_ram(self, address: int, data: bytes) -> None:
        """Store to RAM as a DMA does; a range outside of RAM is an AccessFaultError."""
        ...

    def stop(self) -> None:
        """Return control to the host before the next basic block runs."""
        ...

    def ticks(self) -> int:
        """The virtual clock, in cycles: see ``clock.VirtualClock``."""
        ...

    def clock_hz(self) -> float:
        """The frequency of the core's clock, in which ``ticks`` are counted."""
        ...


class Device(Protocol):
    """Registers at offsets from a base address. ``size`` is 1, 2 or 4 bytes."""

    def read(self, offset: int, size: int) -> int:
        """Value that the CPU reads."""
        ...

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a value from the CPU."""
        ...


@runtime_checkable
class Uart(Device, Protocol):
    """A device that carries the board's protocol."""

    def feed(self, data: bytes) -> None:
        """Queue bytes to be received."""
        ...

    def take(self) -> bytes:
        """What was transmitted since the last call."""
        ...

    def wakes(self) -> bool:
        """Whether a core asleep wakes now: an enabled interrupt of this device is pending."""
        ...

    def can_wake(self) -> bool:
        """Whether input that has not come yet would wake a core asleep."""
        ...


# Consecutive reads of a status that a transmitter, which is always ready, gives no reason for.
IDLE_POLLS: Final = 8


class Wire:
    """The far end of a UART: bytes that wait to be received, without limit, and bytes that were transmitted."""

    def __init__(self) -> None:
        self._queue = bytearray()
        self._sent = bytearray()

    def feed(self, data: bytes) -> None:
        """Queue bytes to be received."""
        self._queue += data

    def take(self) -> bytes:
        """What was transmitted since the last call."""
        sent = bytes(self._sent)
        self._sent.clear()
        return sent


class Registers:
    """Storage: reads return what was written last, or the reset value; a task that is written is just stored.

    Args:
        initial: reset values by offset.
        follows: by offset, {bit: the bit that follows it}, in the same register or as (offset, bit) in another: a ready
            flag that follows its enable bit at once, whatever is written to the flag itself.
        follows_clear: the same for flags that are set while the bit is clear.
    """

    def __init__(
        self,
        initial: Mapping[int, int],
        follows: Mapping[int, Mapping[int, Follower]] = {},
        follows_clear: Mapping[int, Mapping[int, Follower]] = {},
    ) -> None:
        self._words = dict(initial)
        self._leaders: dict[int, list[tuple[int, int, int, int]]] = {}
        for inverted, rules in enumerate((follows, follows_clear)):
            for offset, followers in rules.items():
                for bit, follower in followers.items():
                    register, flag = (offset, follower) if isinstance(follower, int) else follower
                    self._leaders.setdefault(register, []).append((flag, offset, bit, inverted))

    def read(self, offset: int, size: int) -> int:
        """Value of a register, or of the part of it that is accessed."""
        word = self._words.get(offset & ~3, 0)
        for flag, leader, bit, inverted in self._leaders.get(offset & ~3, ()):
            word = word & ~(1 << flag) | (self._words.get(leader, 0) >> bit & 1 ^ inverted) << flag
        return word >> 8 * (offset & 3) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Store a register, or the part of it that is accessed."""
        shift = 8 * (offset & 3)
        mask = ((1 << 8 * size) - 1) << shift
        word = self._words.get(offset & ~3, 0)
        self._words[offset & ~3] = (word & ~mask | value << shift & mask) & 0xFFFFFFFF


class PolledRegisters(Registers):
    """Registers that only the firmware changes: one that waits for them to change would wait for ever."""

    def __init__(self, name: str, peripheral: Peripheral) -> None:
        super().__init__(peripheral.registers, peripheral.follows, peripheral.follows_clear)
        self._name = name
        self._last = -1
        self._repeats = 0

    def read(self, offset: int, size: int) -> int:
        """Value of a register; an AccessFaultError when nothing but this register is asked for any more."""
        self._repeats = self._repeats + 1 if offset == self._last else 0
        self._last = offset
        if self._repeats >= _REPEATS_MAX:
            raise AccessFaultError(
                f"{self._name}: the register at offset {offset:#05x} was read {self._repeats:,} times in a row, and"
                " nothing changes it: an endless loop?",
                hint="a bit that comes by itself on silicon follows another in the target file: `follows`",
            )
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Store a register."""
        self._last = -1
        super().write(offset, size, value)


def plain_registers(name: str, peripheral: Peripheral, _host: Host) -> Device:
    """Model ``registers``: storage with the reset values and the ready flags of the target file."""
    return PolledRegisters(name, peripheral)
