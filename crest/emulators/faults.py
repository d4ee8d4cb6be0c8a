"""Says what a firmware did wrong, where, and with which registers."""

from __future__ import annotations

from typing import Any, Final

import unicorn
from unicorn import arm_const

from crest.emulators.elf import ElfImage
from crest.emulators.native import REASON_BAD_MARK, REASON_GUARD, REASON_SPIN, REASON_STACK, HookState
from crest.emulators.stops import place_of, stop_error
from crest.errors import EmulationError

_REGISTERS: Final = (
    *((f"r{number}", getattr(arm_const, f"UC_ARM_REG_R{number}")) for number in range(13)),
    ("sp", arm_const.UC_ARM_REG_SP),
    ("lr", arm_const.UC_ARM_REG_LR),
    ("pc", arm_const.UC_ARM_REG_PC),
    ("xpsr", arm_const.UC_ARM_REG_XPSR),
)
_THUMB_STATE: Final = 1 << 24
_INTERRUPTS: Final = {
    2: "SVC, and exceptions are not emulated",
    3: "a return from an exception that was never taken",
    4: "an unaligned access, which this core cannot do",
    7: "BKPT: an assertion or a fault handler; without a debugger silicon stops here, too",
}
_ACCESS: Final = {
    unicorn.UC_ERR_READ_UNMAPPED: "read where the target has nothing",
    unicorn.UC_ERR_WRITE_UNMAPPED: "write where the target has nothing",
    unicorn.UC_ERR_FETCH_UNMAPPED: "jump to where the target has no memory",
    unicorn.UC_ERR_WRITE_PROT: "write to flash",
    unicorn.UC_ERR_READ_PROT: "read of memory that cannot be read",
    unicorn.UC_ERR_FETCH_PROT: "jump to memory that cannot be executed",
}
_WAIT_FOR_EVENT: Final = {b"\x20\xbf": "WFE", b"\x40\xbf": "SEV"}


def stop_text(state: HookState, guard_blocks: int) -> str:
    """What a reason of the native hook means."""
    reason = int(state.reason)
    if reason == REASON_GUARD:
        return f"{guard_blocks} basic blocks without a sign of life: an endless loop?"
    if reason == REASON_SPIN:
        return "an instruction that branches to itself for ever"
    if reason == REASON_BAD_MARK:
        return f"a layer mark with the undefined id {int(state.bad_mark):#x}"
    if reason == REASON_STACK:
        below = int(state.stack_limit) - int(state.stack_pointer)
        return f"the stack overflows: it reaches {below} bytes below its limit, {int(state.stack_limit):#010x}"
    return f"an unknown stop ({reason})"


def interrupt_text(number: int) -> str:
    """What an exception that Unicorn reports means."""
    return _INTERRUPTS.get(number, f"exception {number}, and exceptions are not emulated")


def engine_error_text(uc: Any, error: Any, access: tuple[int, int] | None) -> str:
    """What an error of Unicorn means; ``access`` is (address, bytes) of the access that failed."""
    if error.errno in _ACCESS:
        where = f": {access[1]} bytes at {access[0]:#010x}" if access else ""
        return _ACCESS[error.errno] + where
    if error.errno != unicorn.UC_ERR_INSN_INVALID:
        return f"an error of unicorn: {error}"
    if not uc.reg_read(arm_const.UC_ARM_REG_XPSR) & _THUMB_STATE:
        return "a jump to ARM mode (bit 0 of the address is clear)"
    pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
    code = _code_at(uc, pc)
    for half in (code[:2], _code_at(uc, pc - 2)[:2]):  # Unicorn may have passed a hint that it does not execute
        if half in _WAIT_FOR_EVENT:
            return f"{_WAIT_FOR_EVENT[half]}, which is not emulated; sleep with WFI"
    return f"an instruction that the core does not have ({code.hex() or 'unreadable'})"


def locate(text: str, uc: Any, image: ElfImage, state: HookState, hint: str | None = None) -> EmulationError:
    """The error for ``text``, with where Unicorn and the native hook stand."""
    registers = {name: uc.reg_read(number) for name, number in _REGISTERS}
    place = place_of(bool(state.counting), int(state.row))
    return stop_error(text, registers["pc"], image, place, registers, hint)


def _code_at(uc: Any, address: int) -> bytes:
    try:
        return bytes(uc.mem_read(address, 4))
    except unicorn.UcError:
        return b""
