"""What free-running timers are made of: a counter of virtual time, and a comparator that says when it is due."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol, runtime_checkable

from crest.emulators.devices import Device, Host
from crest.errors import AssetError
from crest.targets import Peripheral


@runtime_checkable
class WakeTimer(Device, Protocol):
    """A device whose interrupt ends a wait at a moment that is known beforehand."""

    interrupt: int
    runs_in_deep_sleep: bool

    def raised(self) -> bool:
        """Whether the interrupt line is raised now."""
        ...

    def rises_at(self) -> int | None:
        """The cycle of the virtual clock at which the line, now low, will rise by itself; None for never."""
        ...


class Counter:
    """Counts the edges of a clock that has run since power-up, while it is started.

    Args:
        host: the machine whose virtual clock is time.
        hz: of the clock that is counted.
        mask: the highest count; zero follows.
        runs: since power-up, and not from ``start`` on.
    """

    def __init__(self, host: Host, hz: Fraction, mask: int, runs: bool = False) -> None:
        self._host = host
        self.mask = mask
        self._standing = 0  # total while it stands
        self._started = 0 if runs else None  # number of the edge at which the total was zero
        self._per_cycle = self._counts_per_cycle(hz)

    def set_hz(self, hz: Fraction) -> None:
        """Take another clock; the count stays."""
        total, running = self.total(), self._started is not None
        self._per_cycle = self._counts_per_cycle(hz)
        self._standing = total
        self._started = self._edges() - total if running else None

    def total(self) -> int:
        """Counts since zero, wrap-arounds included."""
        return self._standing if self._started is None else self._edges() - self._started

    @property
    def count(self) -> int:
        """What the register reads."""
        return self.total() & self.mask

    def start(self) -> None:
        """Go on from where the counter stands."""
        if self._started is None:
            self._started = self._edges() - self._standing

    def stop(self) -> None:
        """Stand still."""
        self._standing = self.total()
        self._started = None

    def load(self, count: int) -> None:
        """Go on from a count."""
        self._standing = count
        if self._started is not None:
            self._started = self._edges() - count

    def cycle_of(self, total: int) -> int | None:
        """The cycle of the virtual clock at which that many counts are reached; None while it stands."""
        if self._started is None:
            return None
        edge = self._started + total
        return -(-edge * self._per_cycle.denominator // self._per_cycle.numerator)

    def _counts_per_cycle(self, hz: Fraction) -> Fraction:
        return hz / Fraction(self._host.clock_hz())

    def _edges(self) -> int:
        return self._host.ticks() * self._per_cycle.numerator // self._per_cycle.denominator


class Comparator:
    """A flag that is set when a counter reaches a value.

    Args:
        counter: that is compared.
        ahead: counts that the value must lie ahead of the counter when it is written, or it is met one round later.
    """

    def __init__(self, counter: Counter, ahead: int = 1) -> None:
        self._counter = counter
        self._ahead = ahead
        self._value: int | None = None
        self._due = 0
        self._flag = False

    def set(self, value: int | None) -> None:
        """Compare with another value, or with none."""
        self._latch()
        self._value = value
        self._aim()

    @property
    def is_set(self) -> bool:
        """Whether there is a value to compare with."""
        return self._value is not None

    def load(self, count: int) -> None:
        """Set the counter."""
        self._latch()
        self._counter.load(count)
        self._aim()

    def _aim(self) -> None:
        """Look for the next match from here on."""
        if self._value is not None:
            soonest = self._counter.total() + self._ahead
            self._due = soonest + (self._value - soonest & self._counter.mask)

    @property
    def flag(self) -> bool:
        """Whether the value was reached since the flag was cleared."""
        self._latch()
        return self._flag

    def clear(self) -> None:
        """Clear the flag; it is set again when the value is reached again."""
        self._latch()
        self._flag = False

    def due(self) -> int | None:
        """The cycle of the virtual clock at which the flag will be set next; None for never."""
        self._latch()
        return None if self._value is None else self._counter.cycle_of(self._due)

    def _latch(self) -> None:
        if self._value is not None and self._counter.total() >= self._due:
            self._flag = True
            self._aim()


def counted_hz(name: str, peripheral: Peripheral, host: Host) -> Fraction:
    """The frequency of the clock that a timer counts.

    Raises:
        AssetError: the target file does not say.
    """
    if peripheral.counts_hz is not None:
        return Fraction(peripheral.counts_hz)
    if peripheral.core_cycles_per_count is None:
        raise AssetError(
            f"peripheral {name!r} of register model {peripheral.model!r}: what does it count?",
            hint="counts_hz for an oscillator of its own, or core_cycles_per_count",
        )
    return Fraction(host.clock_hz()) / peripheral.core_cycles_per_count


def interrupt_of(name: str, peripheral: Peripheral) -> int:
    """The number of a timer's interrupt.

    Raises:
        AssetError: the target file does not say.
    """
    if peripheral.interrupt is None:
        raise AssetError(
            f"peripheral {name!r} of register model {peripheral.model!r} has no interrupt",
            hint="write the number that the chip's vector table gives it: `interrupt: 8`",
        )
    return peripheral.interrupt
