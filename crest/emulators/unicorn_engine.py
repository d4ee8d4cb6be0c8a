"""The default engine: Unicorn in process, a native hook that counts block edges, peripherals as register models."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import unicorn
from unicorn import arm_const

from crest.emulators.base import LAYER_MARK_SYMBOL, STACK_LIMIT_SYMBOL, CycleCount
from crest.emulators.blocks import Block
from crest.emulators.bus import PAGE_BYTES, Bus, Slot
from crest.emulators.clock import VirtualClock
from crest.emulators.counted import counted_parts
from crest.emulators.counts import build_profile
from crest.emulators.devices import AccessFaultError
from crest.emulators.elf import ElfImage, read_elf
from crest.emulators.faults import engine_error_text, interrupt_text, locate, stop_text
from crest.emulators.hooks import Hooks
from crest.emulators.isa import check_block, lint_elf
from crest.emulators.native import REASON_NONE, REASON_PAUSE, REASON_TABLE_FULL
from crest.emulators.profile import ExecutionProfile
from crest.emulators.selftest import check_unicorn
from crest.emulators.sleeper import WAKES, Sleeper
from crest.emulators.timeline import Timeline
from crest.errors import AssetError, EmulationError
from crest.schedule import SleepName
from crest.targets import CoreName, Target

# UC_MODE_MCLASS would force a Cortex-M33 whatever the model.
_MODEL: Final[dict[CoreName, int]] = {
    "cortex-m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
}
_NOWHERE: Final = 0xFFFFFFFE
WFI: Final = b"\x30\xbf"
_TCG_BUFFER_BYTES: Final = 64 << 20
# Erased flash reads ones; RAM after power-up holds anything but the zeros that a careless start-up hopes for.
_FLASH_FILL: Final = b"\xff"
RAM_FILL: Final = b"\xa5"
_INVALID_ACCESS: Final = (
    unicorn.UC_HOOK_MEM_READ_UNMAPPED
    | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED
    | unicorn.UC_HOOK_MEM_FETCH_UNMAPPED
    | unicorn.UC_HOOK_MEM_READ_PROT
    | unicorn.UC_HOOK_MEM_WRITE_PROT
    | unicorn.UC_HOOK_MEM_FETCH_PROT
)
GUARD_BLOCKS: Final = 500_000_000
WAITS_MAX: Final = 1_000_000


class UnicornEngine:
    """Runs firmware in process.

    Interrupts and exceptions are not emulated: what raises one is an error. Unaligned LDM, LDRD and floating-point
    loads and stores, which fault on silicon, are found in windows whose data accesses are counted. A stack below the
    firmware's ``crest_stack_limit`` is looked for in every block while accesses are counted, else in every 64th.

    Args:
        guard_blocks: basic blocks that may run before the firmware transmits or waits for input; the default is
            some 5 * 10**9 instructions.
    """

    name = "unicorn"
    version: str = unicorn.__version__

    def __init__(self, guard_blocks: int = GUARD_BLOCKS) -> None:
        self._guard_blocks = guard_blocks

    def boot(self, elf: bytes, target: Target, cycles: CycleCount | None = None) -> UnicornMachine:
        """Load an ELF into the target's memories and reset the core; nothing runs yet.

        Args:
            elf: the firmware.
            target: the board.
            cycles: what the cycle counters of the core read in a latency window, from the counts since it opened.

        Raises:
            EmulationError: the ELF does not fit the target, or Unicorn is not the one that the engine knows.
            AssetError: the target asks for what the engine does not model.
            ToolchainError: the native hook has to be built and cannot.
        """
        check_unicorn()
        image = read_elf(elf, target)
        lint_elf(image, target)
        return UnicornMachine(image, target, self._guard_blocks, cycles)


class UnicornMachine:
    """A board that is switched on; made by ``UnicornEngine.boot``. It is also the host of its own devices."""

    def __init__(
        self,
        image: ElfImage,
        target: Target,
        guard_blocks: int,
        cycles: CycleCount | None = None,
        stubs: Sequence[Slot] = (),
    ) -> None:
        self._image = image
        self._target = target
        self._guard_blocks = guard_blocks
        self._asleep = False
        self._waits = 0
        self._device_fault: AccessFaultError | None = None
        self._interrupt: int | None = None
        self._bad_access: tuple[int, int] | None = None
        self._failure: EmulationError | None = None
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, _MODEL[target.core])
        self._uc.ctl_set_tcg_buffer_size(_TCG_BUFFER_BYTES)
        self._bus = Bus(target, self, stubs)
        self._maps: list[tuple[int, int]] = []
        self._map_memory()
        self._map_peripherals()
        self._python_hooks = [
            self._uc.hook_add(_INVALID_ACCESS, self._on_invalid_access),
            self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt),
        ]
        mark, limit = map(image.symbols.get, (LAYER_MARK_SYMBOL, STACK_LIMIT_SYMBOL))
        self._hooks = Hooks(self._uc, target.regions, mark, target.memory_geometry, limit)
        self._clock = VirtualClock(self._hooks, self._block_at, cycles)
        self._sleeper = Sleeper(self._bus, self._clock)
        self._reset()

    def send(self, data: bytes) -> None:
        """Queue bytes for the board's UART."""
        self._bus.uart.feed(data)

    def receive(self) -> bytes:
        """Run until the firmware has transmitted something or waits for input with nothing queued.

        Returns:
            What was transmitted; empty when the firmware waits.

        Raises:
            EmulationError: the firmware faulted, ran away, or touched what the board does not have. A machine that
                has failed stays so.
        """
        if self._failure:
            raise self._failure
        if self._asleep and not self._bus.uart.wakes():
            return b""
        self._asleep = False
        state = self._hooks.state
        state.guard_blocks = self._guard_blocks
        self._waits = 0
        while True:
            self._run()
            reason = int(state.reason)
            if reason not in (REASON_NONE, REASON_PAUSE, REASON_TABLE_FULL):
                raise self._fail(stop_text(state, self._guard_blocks))
            state.reason = REASON_NONE
            if reason == REASON_TABLE_FULL:
                self._hooks.grow()
            elif reason == REASON_PAUSE or not self._wake():
                return self._bus.uart.take()

    def count_memory(self, enabled: bool) -> None:
        """Count data accesses by region, and events of the memory system, from now on, or stop doing so.

        A window holds them only if they were counted from its opening to its end. Code is translated anew when counting
        is switched, and executes several times slower while it is on (``benchmarks/emulator_speed.py``).
        """
        self._hooks.count_memory(enabled)

    def profile(self) -> ExecutionProfile:
        """Counts of the last complete latency window.

        Raises:
            EmulationError: no window has been completed, or the firmware does not mark any; or it executed
                instructions that the target does not have, or accesses that are faults on silicon.
        """
        if LAYER_MARK_SYMBOL not in self._image.symbols:
            raise EmulationError(
                f"the firmware has no function {LAYER_MARK_SYMBOL}", hint="link it in, not inlined, and do not strip"
            )
        parts = counted_parts(self._hooks, self._block_at, self._code_at, self._image)
        return build_profile(f"{UnicornEngine.name} {UnicornEngine.version}", self._target.core, parts)

    def timeline(self) -> Timeline:
        """What the board did when, since power-up; windows are in it where ``boot`` was told their cycles."""
        self._clock.now()
        return self._clock.timeline

    def set_wake_up(self, state: SleepName, cycles: int) -> None:
        """Let every wake-up from a state take that many cycles of the core's clock, from now on."""
        self._clock.wake_up_cycles[state] = cycles

    def close(self) -> None:
        """Release the memories at once, and the rest with the next garbage collection."""
        if self._failure is None:
            self._failure = EmulationError("the machine has been closed")
        for hook in self._python_hooks:
            self._uc.hook_del(hook)
        for base, size in self._maps:
            self._uc.mem_unmap(base, size)
        self._python_hooks, self._maps = [], []

    # What devices may ask for (devices.Host).

    def read_ram(self, address: int, size_bytes: int) -> bytes:
        """Bytes of RAM as a DMA sees it."""
        self._check_ram(address, size_bytes)
        return bytes(self._uc.mem_read(address, size_bytes)) if size_bytes else b""

    def write_ram(self, address: int, data: bytes) -> None:
        """Store to RAM as a DMA does."""
        self._check_ram(address, len(data))
        if data:
            self._uc.mem_write(address, data)

    def stop(self) -> None:
        """Return control to the caller of ``receive`` before the next basic block runs."""
        if self._hooks.state.reason == REASON_NONE:
            self._hooks.state.reason = REASON_PAUSE

    def ticks(self) -> int:
        """Cycles as the core's own counters read them."""
        return self._clock.now()

    def clock_hz(self) -> float:
        """The frequency of the core's clock."""
        return max(self._target.clock_mhz) * 1e6

    def _check_ram(self, address: int, size_bytes: int) -> None:
        inside = any(
            r.kind != "flash" and r.base <= address and address + size_bytes <= r.end for r in self._target.regions
        )
        if size_bytes and not inside:
            raise AccessFaultError(
                f"a DMA transfer of {size_bytes} bytes at {address:#010x}, which is not RAM",
                hint="DMA reaches RAM only: copy constants before they are transmitted",
            )

    def _map_memory(self) -> None:
        for region in self._target.regions:
            if region.base % PAGE_BYTES or region.size_bytes % PAGE_BYTES:
                raise AssetError(
                    f"target {self._target.name}: region {region.name} is not made of {PAGE_BYTES}-byte pages",
                    hint="split or shrink it to whole pages",
                )
            flash = region.kind == "flash"
            self._map(region.base, region.size_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC if flash else None)
            self._uc.mem_write(region.base, (_FLASH_FILL if flash else RAM_FILL) * region.size_bytes)
        for segment in self._image.segments:
            self._uc.mem_write(segment.address, segment.data)

    def _map(self, base: int, size: int, protection: int | None) -> None:
        try:
            self._uc.mem_map(base, size, unicorn.UC_PROT_ALL if protection is None else protection)
        except unicorn.UcError as exc:
            raise AssetError(f"target {self._target.name}: cannot map {size} bytes at {base:#010x}: {exc}") from exc
        self._maps.append((base, size))

    def _map_peripherals(self) -> None:
        for base, size in self._bus.pages():
            try:
                self._uc.mmio_map(base, size, self._on_read, base, self._on_write, base)
            except unicorn.UcError as exc:
                raise AssetError(
                    f"target {self._target.name}: peripherals at {base:#010x} overlap a memory region: {exc}"
                ) from exc
            self._maps.append((base, size))

    def _reset(self) -> None:
        stack, entry = struct.unpack("<II", self._uc.mem_read(self._image.vectors, 8))
        in_ram = any(r.kind != "flash" and r.base < stack <= r.end for r in self._target.regions)
        in_flash = any(r.kind == "flash" and r.base <= entry < r.end for r in self._target.regions)
        if not in_ram or stack % 4 or not in_flash or not entry & 1:
            raise EmulationError(
                f"no vector table at {self._image.vectors:#010x}: stack {stack:#010x}, reset {entry:#010x}",
                hint="place it first, or in a section .vectors; the reset handler needs bit 0 set",
            )
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._uc.reg_write(arm_const.UC_ARM_REG_PC, entry)

    def _run(self) -> None:
        """Run until somebody stops; what went wrong is raised."""
        try:
            self._uc.emu_start(self._uc.reg_read(arm_const.UC_ARM_REG_PC) | 1, _NOWHERE)
        except unicorn.UcError as exc:
            raise self._fail(engine_error_text(self._uc, exc, self._bad_access)) from exc
        if self._device_fault is not None:
            raise self._fail(str(self._device_fault), self._device_fault.hint)
        if self._interrupt is not None:
            raise self._fail(interrupt_text(self._interrupt))

    def _wake(self) -> bool:
        """Decide about a core that stopped by itself: whether it runs on now, or sleeps until input comes."""
        pc = self._uc.reg_read(arm_const.UC_ARM_REG_PC)
        if bytes(self._uc.mem_read(pc - 2, 2)) != WFI:
            raise self._fail("the emulator returned without a reason")
        if self._bus.uart.wakes():
            return True
        if self._sleeper.wait():
            self._waits += 1
            if self._waits > WAITS_MAX:
                raise self._fail(f"{WAITS_MAX:,} waits for a timer without a sign of life: an endless loop?")
            self._hooks.state.guard_blocks = self._guard_blocks
            return True
        if not self._bus.uart.can_wake():
            raise self._fail("WFI with nothing that could wake the core", WAKES)
        self._asleep = True
        return False

    def _code_at(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def _block_at(self, address: int, size: int) -> Block:
        return check_block(self._code_at(address, size), address, self._image, self._target)

    def _fail(self, text: str, hint: str | None = None) -> EmulationError:
        self._failure = locate(text, self._uc, self._image, self._hooks.state, hint)
        return self._failure

    # Callbacks from Unicorn. An exception must not pass through its C code: a device's fault waits for the stop.

    def _on_read(self, uc: Any, offset: int, size: int, base: int) -> int:
        try:
            return self._bus.read(base + offset, size)
        except AccessFaultError as fault:
            self._device_fault = fault
            self._hooks.sync_pc()
            uc.emu_stop()
            return 0

    def _on_write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        try:
            self._bus.write(base + offset, size, value)
        except AccessFaultError as fault:
            self._device_fault = fault
            self._hooks.sync_pc()
            uc.emu_stop()

    def _on_invalid_access(self, _uc: Any, _kind: int, address: int, size: int, _value: int, _data: Any) -> bool:
        self._bad_access = (address, size)
        return False

    def _on_interrupt(self, uc: Any, number: int, _data: Any) -> None:
        self._interrupt = number
        self._hooks.sync_pc()
        uc.emu_stop()
