"""The USART and LPUART of STM32 chips, in both register layouts (reference manuals RM0390 and RM0444)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from crest.emulators.devices import IDLE_POLLS, AccessFaultError, Device, Host, Wire
from crest.targets import Peripheral

# Bits that both layouts share: of the status register, and of CR1.
_RXNE: Final = 1 << 5
_TC: Final = 1 << 6
_TXE: Final = 1 << 7
_RE: Final = 1 << 2
_TE: Final = 1 << 3


@dataclass(frozen=True)
class Layout:
    """Where the registers lie, and what their bits are.

    Attributes:
        model: name in target files.
        status: offset of SR or ISR.
        receive: offset of the register that holds a received byte.
        transmit: offset of the register that takes a byte to send.
        control: offset of CR1.
        baud: offset of BRR.
        enable: mask of UE in CR1.
        acknowledge: status bits by the CR1 bit that they follow.
        stored: offsets of registers that shape the wire, which is not modelled.
        triggers: offsets that are written to clear flags or to ask for something; they read 0.
        least_divider: the smallest BRR that gives a bit clock.
        locks_baud: BRR ignores writes while UE is set.
    """

    model: str
    status: int
    receive: int
    transmit: int
    control: int
    baud: int
    enable: int
    acknowledge: tuple[tuple[int, int], ...]
    stored: tuple[int, ...]
    triggers: tuple[int, ...]
    least_divider: int
    locks_baud: bool


# SR DR BRR CR1 CR2 CR3 GTPR.
_F4: Final = Layout(
    model="stm32f4-usart", status=0x00, receive=0x04, transmit=0x04, control=0x0C, baud=0x08, enable=1 << 13,
    acknowledge=(), stored=(0x10, 0x14, 0x18), triggers=(), least_divider=16, locks_baud=False,
)  # fmt: skip
# CR1 CR2 CR3 BRR GTPR RTOR RQR ISR ICR RDR TDR PRESC; ISR has TEACK (21) and REACK (22).
_F7: Final = Layout(
    model="stm32f7-usart", status=0x1C, receive=0x24, transmit=0x28, control=0x00, baud=0x0C, enable=1 << 0,
    acknowledge=((_TE, 1 << 21), (_RE, 1 << 22)), stored=(0x04, 0x08, 0x10, 0x14, 0x2C), triggers=(0x18, 0x20),
    least_divider=16, locks_baud=True,
)  # fmt: skip
# As _F7 without GTPR and RTOR; BRR counts 256ths of a clock.
_LPUART: Final = Layout(
    model="stm32-lpuart", status=0x1C, receive=0x24, transmit=0x28, control=0x00, baud=0x0C, enable=1 << 0,
    acknowledge=((_TE, 1 << 21), (_RE, 1 << 22)), stored=(0x04, 0x08, 0x2C), triggers=(0x18, 0x20),
    least_divider=0x300, locks_baud=True,
)  # fmt: skip


class Stm32Usart(Wire):
    """A USART with an unlimited receive queue and a wire that takes no time: it is always ready, and never overruns.

    A firmware that polls the status again and again while nothing has come stops the machine. Nothing moves before
    transmitter or receiver, the USART itself and a bit clock are set up, as on silicon.
    """

    def __init__(self, name: str, layout: Layout, host: Host) -> None:
        super().__init__()
        self._name = name
        self._layout = layout
        self._host = host
        self._registers = dict.fromkeys((*layout.stored, layout.control, layout.baud), 0)
        self._last = 0
        self._polls = 0

    def wakes(self) -> bool:
        """Whether a status flag is set whose interrupt is enabled: RXNEIE, TCIE and TXEIE have the flags' bits."""
        return bool(self._status() & self._registers[self._layout.control] & (_RXNE | _TC | _TXE))

    def can_wake(self) -> bool:
        """Whether a received byte would wake a core asleep."""
        return self._works(_RE) and bool(self._registers[self._layout.control] & _RXNE)

    def read(self, offset: int, size: int) -> int:
        """Value of a register; polling the status for input that is not there stops the machine."""
        layout = self._layout
        if offset == layout.receive:
            self._polls = 0
            if self._queue and self._works(_RE):
                self._last = self._queue.pop(0)
            return self._last
        self._check(offset, size, "read")
        if offset == layout.status:
            status = self._status()
            self._polls += 1
            if self._polls >= IDLE_POLLS and self._works(_RE) and not status & _RXNE:
                self._polls = 0
                self._host.stop()
            return status
        return self._registers.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a register, or transmit a byte."""
        layout = self._layout
        if offset == layout.transmit:
            self._transmit(value & 0xFF)
            return
        self._check(offset, size, "write")
        if offset == layout.baud and layout.locks_baud and self._registers[layout.control] & layout.enable:
            raise AccessFaultError(
                f"{self._name}: BRR is written while UE is set, which the chip ignores", hint="set the baud rate first"
            )
        if offset in self._registers:
            self._registers[offset] = value

    def _check(self, offset: int, size: int, verb: str) -> None:
        layout = self._layout
        known = offset in self._registers or offset == layout.status or offset in layout.triggers
        if size == 1 or not known or offset % size:
            raise AccessFaultError(
                f"{self._name}: {verb} of {size} bytes at offset {offset:#05x} is beyond the model {layout.model}",
                hint="registers other than the data are accessed as words or halfwords",
            )

    def _status(self) -> int:
        layout = self._layout
        control = self._registers[layout.control]
        status = _TC | _TXE
        if self._queue and self._works(_RE):
            status |= _RXNE
        if control & layout.enable:
            status |= sum(flag for bit, flag in layout.acknowledge if control & bit)
        return status

    def _works(self, direction: int) -> bool:
        """Whether receiver (RE) or transmitter (TE) is enabled and clocked."""
        needed = self._layout.enable | direction
        set_up = self._registers[self._layout.control] & needed == needed
        return set_up and self._registers[self._layout.baud] >= self._layout.least_divider

    def _transmit(self, byte: int) -> None:
        self._polls = 0
        if not self._works(_TE):
            raise AccessFaultError(
                f"{self._name}: a byte is sent while it is not set up",
                hint=f"UE and TE in CR1, and a BRR of at least {self._layout.least_divider:#x}, come first",
            )
        self._sent.append(byte)
        self._host.stop()


def _make(layout: Layout, name: str, _peripheral: Peripheral, host: Host) -> Device:
    return Stm32Usart(name, layout, host)


STM32_USARTS: Final[dict[str, Callable[[str, Peripheral, Host], Device]]] = {
    layout.model: partial(_make, layout) for layout in (_F4, _F7, _LPUART)
}
