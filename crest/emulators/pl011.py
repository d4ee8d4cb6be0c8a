"""Arm's PrimeCell UART, PL011 (technical reference manual DDI 0183)."""

from __future__ import annotations

from typing import Final

from crest.emulators.devices import IDLE_POLLS, AccessFaultError, Device, Host, Wire
from crest.targets import Peripheral

MODEL: Final = "arm-pl011"

_DR, _FR = 0x00, 0x18
_IBRD, _FBRD, _LCR_H, _CR = 0x24, 0x28, 0x2C, 0x30
_IMSC, _RIS, _MIS, _ICR = 0x38, 0x3C, 0x40, 0x44
# RSR/ECR, ILPR, IFLS, DMACR: errors do not happen, and the wire and DMA are not modelled.
_STORED: Final = {0x04: 0, 0x20: 0, _IBRD: 0, _FBRD: 0, _LCR_H: 0, _CR: 0x300, 0x34: 0x12, _IMSC: 0, 0x48: 0}

_FR_TXFE: Final = 1 << 7
_FR_RXFE: Final = 1 << 4
_UARTEN, _TXE, _RXE = 1 << 0, 1 << 8, 1 << 9
_EIGHT_BITS: Final = 3 << 5
# Interrupts: something was received; it has waited for a while.
_RECEIVED: Final = 1 << 4 | 1 << 6


class Pl011(Wire):
    """A PL011 with an unlimited receive queue and a wire that takes no time: it is always ready, and never overruns.

    A firmware that polls the flags again and again while nothing has come stops the machine. The divider counts from
    the write of LCR_H that takes it over, as on silicon; of the interrupts those of reception are modelled.
    """

    def __init__(self, name: str, host: Host) -> None:
        super().__init__()
        self._name = name
        self._host = host
        self._registers = dict(_STORED)
        self._divider = 0
        self._polls = 0

    def wakes(self) -> bool:
        """Whether something was received and its interrupt is enabled."""
        return bool(self._raw() & self._registers[_IMSC])

    def can_wake(self) -> bool:
        """Whether a received byte would wake a core asleep."""
        return self._works(_RXE) and bool(self._registers[_IMSC] & _RECEIVED)

    def read(self, offset: int, size: int) -> int:
        """Value of a register; polling the flags for input that is not there stops the machine."""
        self._check(offset, size, "read", (_DR, _FR, _RIS, _MIS))
        if offset == _FR:
            return self._flags()
        if offset == _DR:
            self._polls = 0
            return self._queue.pop(0) if self._queue and self._works(_RXE) else 0
        if offset in (_RIS, _MIS):
            return self._raw() & (self._registers[_IMSC] if offset == _MIS else _RECEIVED)
        return self._registers[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a register, or transmit a byte."""
        self._check(offset, size, "write", (_DR, _ICR))
        if offset == _DR:
            self._transmit(value & 0xFF)
        elif offset in self._registers:
            self._registers[offset] = value
            if offset == _LCR_H:
                self._divider = self._registers[_IBRD] << 6 | self._registers[_FBRD]

    def _check(self, offset: int, size: int, verb: str, known: tuple[int, ...]) -> None:
        if size != 4 or (offset not in self._registers and offset not in known):
            raise AccessFaultError(
                f"{self._name}: {verb} of {size} bytes at offset {offset:#05x} is beyond the model {MODEL}",
                hint="registers are accessed as words; identification and test registers are not modelled",
            )

    def _flags(self) -> int:
        receives = bool(self._queue) and self._works(_RXE)
        self._polls += 1
        if self._polls >= IDLE_POLLS and self._works(_RXE) and not receives:
            self._polls = 0
            self._host.stop()
        return _FR_TXFE if receives else _FR_TXFE | _FR_RXFE

    def _raw(self) -> int:
        return _RECEIVED if self._queue and self._works(_RXE) else 0

    def _works(self, direction: int) -> bool:
        """Whether receiver (RXE) or transmitter (TXE) is enabled and clocked, with bytes of eight bits."""
        needed = _UARTEN | direction
        enabled = self._registers[_CR] & needed == needed
        return enabled and self._divider >= 1 << 6 and self._registers[_LCR_H] & _EIGHT_BITS == _EIGHT_BITS

    def _transmit(self, byte: int) -> None:
        self._polls = 0
        if not self._works(_TXE):
            raise AccessFaultError(
                f"{self._name}: a byte is sent while it is not set up",
                hint="IBRD and FBRD, then LCR_H with 8 bits, then CR with UARTEN and TXE come first",
            )
        self._sent.append(byte)
        self._host.stop()


def pl011(name: str, _peripheral: Peripheral, host: Host) -> Device:
    """Model ``arm-pl011``."""
    return Pl011(name, host)
