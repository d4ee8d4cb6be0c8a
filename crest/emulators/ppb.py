"""The private peripheral bus: SysTick, DWT and the system control space as far as polling firmware needs them."""

from __future__ import annotations

from typing import Final

from crest.emulators.devices import AccessFaultError, Host, Registers
from crest.emulators.nvic import NVIC, Nvic
from crest.schedule import SleepName
from crest.targets import CoreName

PPB_BASE: Final = 0xE0000000
PPB_SIZE_BYTES: Final = 1 << 20

_DWT: Final = range(0x1000, 0x2000)
_SCS: Final = range(0xE000, 0xF000)
_DWT_CTRL, _DWT_CYCCNT = 0x1000, 0x1004
_SYST_CSR, _SYST_RVR, _SYST_CVR = 0xE010, 0xE014, 0xE018
_AIRCR, _SCR, _DEMCR = 0xED0C, 0xED10, 0xEDFC

_CYCCNTENA: Final = 1
_TRCENA: Final = 1 << 24
_COUNTFLAG: Final = 1 << 16
_SYSTICK_MASK: Final = 0xFFFFFF
_WORD: Final = 0xFFFFFFFF
_SLEEPDEEP: Final = 1 << 2

# CPUID and other reset values: the technical reference manuals of the cores (Arm DDI 0484, 0439, 0489).
_CPUID: Final[dict[CoreName, int]] = {
    "cortex-m0plus": 0x410CC601,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC272,
}
_RESET: Final = {_AIRCR: 0xFA050000, _DWT_CTRL: 0x40000000}


class PrivatePeripherals:
    """Storage with CPUID, a SysTick and a cycle counter that follow the machine's virtual clock; see ``nvic``.

    Within a latency window the clock reads modelled cycles, so that firmware can measure itself; see ``clock``.
    """

    def __init__(self, core: CoreName, host: Host) -> None:
        self._host = host
        self._core = core
        self._registers = Registers({**_RESET, 0xED00: _CPUID[core]})
        self.nvic = Nvic()
        self._systick_start = 0
        self._systick_seen = 0
        self._cycles_start = 0

    @property
    def sleep_state(self) -> SleepName:
        """The state that a WFI waits in, by SLEEPDEEP."""
        return "deep_sleep" if self._registers.read(_SCR, 4) & _SLEEPDEEP else "sleep"

    def read(self, offset: int, size: int) -> int:
        """Value of a register."""
        self._check(offset)
        if offset in NVIC:
            return self.nvic.read(offset, size)
        if offset == _SYST_CSR:
            return self._systick_control()
        if offset == _SYST_CVR:
            return self._systick_value()
        if offset == _DWT_CYCCNT:
            return self._cycles()
        return self._registers.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a register."""
        self._check(offset)
        if offset in NVIC:
            self.nvic.write(offset, size, value)
            return
        if offset == _AIRCR and value & 0b101:
            raise AccessFaultError("the firmware asked for a reset (AIRCR)", hint="see what led to the symbol above")
        if offset == _DWT_CYCCNT:
            self._registers.write(offset, 4, value)
            self._cycles_start = self._host.ticks() - value
        elif offset in (_DWT_CTRL, _DEMCR):
            counted = self._cycles()
            self._registers.write(offset, size, value)
            self._cycles_start = self._host.ticks() - counted
            self._registers.write(_DWT_CYCCNT, 4, counted)
        elif offset in (_SYST_CSR, _SYST_CVR):
            self._systick_start = self._host.ticks()
            self._systick_seen = 0
            if offset == _SYST_CSR:
                self._registers.write(offset, size, value & 0b111)
        else:
            self._registers.write(offset, size, value)

    def _check(self, offset: int) -> None:
        if offset not in _SCS and offset not in _DWT:
            raise AccessFaultError(
                f"access to {PPB_BASE + offset:#010x} of the private peripheral bus",
                hint="modelled are the system control space with SysTick, and the DWT",
            )

    def _cycles(self) -> int:
        """CYCCNT: absent on ARMv6-M, frozen while it is not enabled."""
        if self._core == "cortex-m0plus":
            return 0
        enabled = self._registers.read(_DWT_CTRL, 4) & _CYCCNTENA and self._registers.read(_DEMCR, 4) & _TRCENA
        if not enabled:
            return self._registers.read(_DWT_CYCCNT, 4)
        return self._host.ticks() - self._cycles_start & _WORD

    def _systick_elapsed(self) -> tuple[int, int]:
        """(ticks since the counter was started, its period); (0, 0) while it stands."""
        reload = self._registers.read(_SYST_RVR, 4) & _SYSTICK_MASK
        if not self._registers.read(_SYST_CSR, 4) & 1 or reload == 0:
            return 0, 0
        return self._host.ticks() - self._systick_start, reload + 1

    def _systick_control(self) -> int:
        control = self._registers.read(_SYST_CSR, 4)
        elapsed, period = self._systick_elapsed()
        wraps = elapsed // period if period else 0
        wrapped = wraps > self._systick_seen
        self._systick_seen = wraps
        return control | (_COUNTFLAG if wrapped else 0)

    def _systick_value(self) -> int:
        elapsed, period = self._systick_elapsed()
        return -elapsed % period if period else 0
