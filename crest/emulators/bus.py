"""Puts the peripherals of a target, and the core's own, behind the addresses that firmware uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crest.emulators.counter import WakeTimer
from crest.emulators.devices import AccessFaultError, Device, Host, Uart, plain_registers
from crest.emulators.nordic_timers import NordicRtc, NordicTimer
from crest.emulators.pl011 import pl011
from crest.emulators.ppb import PPB_BASE, PPB_SIZE_BYTES, PrivatePeripherals
from crest.emulators.rp2040_timer import Rp2040Timer
from crest.emulators.stm32_rtc import Stm32Rtc
from crest.emulators.stm32_timers import Stm32LowPowerTimer, Stm32Timer
from crest.emulators.stm32_usart import STM32_USARTS
from crest.emulators.uarte import nordic_uarte
from crest.errors import AssetError
from crest.targets import Peripheral, Target

PAGE_BYTES: Final = 0x1000

_TIMERS: Final = (NordicTimer, NordicRtc, Rp2040Timer, Stm32Timer, Stm32LowPowerTimer, Stm32Rtc)
MODELS: Final[dict[str, Callable[[str, Peripheral, Host], Device]]] = {
    "arm-pl011": pl011,
    "nrf-uarte": nordic_uarte,
    "registers": plain_registers,
    **STM32_USARTS,
    **{timer.model: timer for timer in _TIMERS},
}


@dataclass(frozen=True)
class Slot:
    """A device between two addresses."""

    name: str
    begin: int
    end: int
    device: Device


class Bus:
    """Dispatches accesses to devices. A peripheral of the target file wins over the private peripheral bus.

    Args:
        target: its peripherals are looked up in ``MODELS``.
        host: the machine.
        stubs: devices that win over those of the target; the first of several wins.

    Raises:
        AssetError: an unknown register model, or a UART that is none.
    """

    def __init__(self, target: Target, host: Host, stubs: Sequence[Slot] = ()) -> None:
        slots = [
            Slot(name, p.base, p.base + p.size_bytes, _model(target, name, p)(name, p, host))
            for name, p in target.peripherals.items()
        ]
        self._own = [*stubs, *slots]
        self.core = PrivatePeripherals(target.core, host)
        self._ppb = Slot("ppb", PPB_BASE, PPB_BASE + PPB_SIZE_BYTES, self.core)
        self.uart = self._find_uart(target)
        self.timers = [slot.device for slot in slots if isinstance(slot.device, WakeTimer)]

    def pages(self) -> Iterator[tuple[int, int]]:
        """(base, size in bytes) of the page runs to map; several peripherals may share one."""
        begin = end = 0
        for slot in sorted((*self._own, self._ppb), key=lambda slot: slot.begin):
            first, last = slot.begin & -PAGE_BYTES, -(-slot.end // PAGE_BYTES) * PAGE_BYTES
            if end and first <= end:
                end = max(end, last)
                continue
            if end:
                yield begin, end - begin
            begin, end = first, last
        yield begin, end - begin

    def read(self, address: int, size: int) -> int:
        """Value that the CPU reads at an address."""
        slot = self._at(address, size, "read")
        return slot.device.read(address - slot.begin, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Take a value that the CPU writes to an address."""
        slot = self._at(address, size, "write")
        slot.device.write(address - slot.begin, size, value)

    def _at(self, address: int, size: int, verb: str) -> Slot:
        for slot in (*self._own, self._ppb):
            if slot.begin <= address and address + size <= slot.end:
                return slot
        raise AccessFaultError(
            f"{verb} of {size} bytes at {address:#010x}, where the target has no peripheral",
            hint="a peripheral that the firmware needs is declared in the target file",
        )

    def _find_uart(self, target: Target) -> Uart:
        device = next(slot.device for slot in reversed(self._own) if slot.name == target.uart)
        if not isinstance(device, Uart):
            raise AssetError(
                f"target {target.name}: {target.uart!r} of model {target.peripherals[target.uart].model!r} is no UART"
            )
        return device


def _model(target: Target, name: str, peripheral: Peripheral) -> Callable[[str, Peripheral, Host], Device]:
    if peripheral.model not in MODELS:
        raise AssetError(
            f"target {target.name}: peripheral {name!r} has the unknown register model {peripheral.model!r}",
            hint=f"models: {', '.join(sorted(MODELS))}",
        )
    return MODELS[peripheral.model]
