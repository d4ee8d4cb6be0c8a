"""A board whose calls are followed, for firmware that need not be ours: it ends where that firmware does."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from unicorn import UcError, arm_const

from crest.emulators.blocks import Block
from crest.emulators.bus import PAGE_BYTES
from crest.emulators.call_hook import CallHook, Window
from crest.emulators.elf import ElfImage
from crest.emulators.isa import lint_elf
from crest.emulators.native import REASON_GUARD, REASON_PAUSE, REASON_SPIN, HookState
from crest.emulators.selftest import check_unicorn
from crest.emulators.semihosting import BREAKPOINT, Semihosting
from crest.emulators.stubs import StubDevice, Stubs, stub_slots
from crest.emulators.unicorn_engine import GUARD_BLOCKS, WFI, UnicornMachine
from crest.errors import EmulationError
from crest.targets import Target

EndKind = Literal["to", "returned", "budget", "exit", "breakpoint", "sleep", "spin", "input"]
_BREAKPOINT_EXCEPTION: Final = 7
_WFE: Final = b"\x20\xbf"
_POLLING_READS: Final = 10_000
_PERIPHERALS: Final = (range(0x40000000, 0x60000000), range(0xE0000000, 0x100000000))


@dataclass(frozen=True)
class RunEnd:
    """Why a run ended, and the address where it did (None where that says nothing)."""

    kind: EndKind
    address: int | None = None
    exit_code: int | None = None


class TracedMachine(UnicornMachine):
    """A board that is switched on.

    Args:
        image: the firmware.
        target: the board.
        functions: see ``CallHook``.
        window: what is followed.
        stubs: peripherals beside those of the target, or instead of them.

    Raises:
        EmulationError: the firmware has code that the core does not have.
        AssetError: the target asks for what the engine does not model, or a stub lies in memory.
        ToolchainError: a native hook has to be built and cannot.
    """

    def __init__(
        self,
        image: ElfImage,
        target: Target,
        functions: Sequence[tuple[int, int]],
        window: Window,
        stubs: Stubs | None = None,
    ) -> None:
        check_unicorn()
        lint_elf(image, target)
        slots = list(stub_slots(stubs)) if stubs else []
        super().__init__(image, target, guard_blocks=max(GUARD_BLOCKS, window.instructions_max), stubs=slots)
        self._texts: list[StubDevice] = [slot.device for slot in slots if isinstance(slot.device, StubDevice)]
        self._semihosting = Semihosting()
        self._end: RunEnd | None = None
        self._reads: Counter[int] = Counter()
        self._touched: int | None = None
        asks_to_stop = ctypes.addressof(self._hooks.state) + HookState.reason.offset
        self.calls = CallHook(self._uc, asks_to_stop, REASON_PAUSE, functions, window)

    @property
    def end(self) -> RunEnd | None:
        """Why the run ended; None while it goes on.

        Raises:
            EmulationError: the window goes more ways than there is room for.
        """
        if self.calls.ended == "full":
            raise EmulationError(
                "the window holds more than a million different branches by calling context",
                hint="profile less at once: --from and --to",
            )
        return RunEnd(self.calls.ended) if self.calls.ended else self._end

    def poll_hint(self) -> str | None:
        """What to write where the firmware seems to wait for a peripheral; None where it does not."""
        if not self._reads:
            return None
        ((address, reads),) = self._reads.most_common(1)
        if reads < _POLLING_READS:
            return None
        base = address & ~(PAGE_BYTES - 1)
        return (
            f"{address:#010x} was read {reads:,} times: does the firmware wait for a bit of it? Stub it (--stubs): "
            f"peripherals: {{at_{base:08x}: {{base: {base:#010x}, fixed: {{{address - base:#x}: 0xFFFFFFFF}}}}}}"
        )

    def take_text(self) -> bytes:
        """What the firmware wrote by semihosting and to stubs since the last call."""
        return self._semihosting.take() + b"".join(stub.take() for stub in self._texts)

    def receive(self) -> bytes:
        """Run until the firmware has transmitted something, waits for input, or the run ends; see ``end``.

        Raises:
            EmulationError: the firmware faulted, ran away, or touched what the board does not have.
        """
        try:
            return super().receive()
        except EmulationError:
            pc = self._uc.reg_read(arm_const.UC_ARM_REG_PC)
            if self._hooks.state.reason == REASON_SPIN:
                end = RunEnd("spin", pc)
            elif self._is_behind_wfe(pc):
                end = RunEnd("sleep", pc - 2)
            else:
                raise
            if not self.calls.has_begun:
                raise
            self._end = end
            return b""

    def block_at(self, address: int, size: int) -> Block:
        """Analysis of the code at an address.

        Raises:
            EmulationError: it holds instructions that the target does not have.
        """
        return self._block_at(address, size)

    def code_at(self, address: int, size: int) -> bytes:
        """The code itself."""
        return self._code_at(address, size)

    def _is_behind_wfe(self, pc: int) -> bool:
        """Whether the core stopped for a WFE, which Unicorn does not have; as no event will come, that is sleep."""
        faults = (self._bad_access, self._device_fault, self._interrupt)
        try:
            return all(fault is None for fault in faults) and self.code_at(pc - 2, 2) == _WFE
        except UcError:
            return False

    def _wake(self) -> bool:
        try:
            return super()._wake()
        except EmulationError:
            pc = self._uc.reg_read(arm_const.UC_ARM_REG_PC)
            if not self.calls.has_begun or self.code_at(pc - 2, 2) != WFI:
                raise
            self._end = RunEnd("sleep", pc - 2)
            return False

    def _on_interrupt(self, uc: Any, number: int, data: Any) -> None:
        pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
        if number != _BREAKPOINT_EXCEPTION:
            super()._on_interrupt(uc, number, data)
        elif int.from_bytes(uc.mem_read(pc, 2), "little") != BREAKPOINT:
            self._finish(RunEnd("breakpoint", pc))
        elif (code := self._semihosting.call(uc)) is not None:
            self._finish(RunEnd("exit", pc, code))

    def _finish(self, end: RunEnd) -> None:
        self._end = end
        self._hooks.state.reason = REASON_PAUSE
        self._hooks.sync_pc()
        self._uc.emu_stop()

    def _on_read(self, uc: Any, offset: int, size: int, base: int) -> int:
        self._touched = base + offset
        self._reads[base + offset] += 1
        return super()._on_read(uc, offset, size, base)

    def _on_write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        self._touched = base + offset
        super()._on_write(uc, offset, size, value, base)

    def _fail(self, text: str, hint: str | None = None) -> EmulationError:
        advice = self.poll_hint() if self._hooks.state.reason == REASON_GUARD else self._stub_hint()
        return super()._fail(text, "; ".join(part for part in (hint, advice) if part))

    def _stub_hint(self) -> str | None:
        """What to write where the firmware touched a peripheral that is not there."""
        at = self._bad_access[0] if self._bad_access else self._touched if self._device_fault else None
        if at is None or not any(at in block for block in _PERIPHERALS):
            return None
        base = at & ~(PAGE_BYTES - 1)
        return f"stub it (--stubs): peripherals: {{at_{base:08x}: {{base: {base:#010x}}}}}"
