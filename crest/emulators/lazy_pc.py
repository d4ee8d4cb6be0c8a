"""Keeps Unicorn from looking up the PC for every access to memory, by a flag that it has for a purpose of its own.

Before Unicorn 2.1.4 calls a memory hook, it walks through the accessing block from its beginning to find PC and IT
state: ten times the cost of everything else, and the IT state stays behind. It does not do so where a hook has written
the PC, which ``skip_sync_pc_on_exit`` tells. The flag is no part of Unicorn's interface: where it lies is checked once
a process by what it does, and where it is not found, counting accesses is slow but right.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Final

import unicorn
from unicorn import arm_const

_OFFSET: Final = 0x3A32  # in struct uc_struct of 2.1.4 where pointers and longs have 64 bits
_VERSION: Final = "2.1.4"
_ADDRESS: Final = 0x1000
_LOAD: Final = _ADDRESS + 4
# movs r0, #64; lsls r0, r0, #6; ldr r1, [r0]; wfi
_PROGRAM: Final = bytes.fromhex("40208001016830bf")


def flag_address(uc: Any) -> int:
    """Address of the flag of a Unicorn instance, a byte; 0 when it is not known."""
    return _flag_of(uc) if _is_understood() else 0


def _flag_of(uc: Any) -> int:
    return int(uc._uch.value) + _OFFSET


@functools.cache
def _is_understood() -> bool:
    if unicorn.__version__ != _VERSION or ctypes.sizeof(ctypes.c_void_p) != 8 or ctypes.sizeof(ctypes.c_long) != 8:
        return False  # the structure is another one
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm_const.UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(_ADDRESS, 0x1000)
    uc.mem_write(_ADDRESS, _PROGRAM)
    flag = ctypes.c_uint8.from_address(_flag_of(uc))
    states = [_after_run(uc, flag)]
    uc.reg_write(arm_const.UC_ARM_REG_PC, _ADDRESS)
    states += [flag.value, _after_run(uc, flag)]
    return states == [0, 1, 0] and _seen_pc(uc, flag, 0) == _LOAD != _seen_pc(uc, flag, 1)


def _after_run(uc: Any, flag: ctypes.c_uint8) -> int:
    uc.emu_start(_ADDRESS | 1, _LOAD)
    return flag.value


def _seen_pc(uc: Any, flag: ctypes.c_uint8, value: int) -> int:
    """PC that a memory hook sees at the load when the flag is set to ``value`` at the beginning of its block."""
    seen: list[int] = []

    def on_block(_uc: Any, _address: int, _size: int, _data: Any) -> None:
        flag.value = value

    def on_load(uc: Any, _kind: int, _address: int, _size: int, _value: int, _data: Any) -> None:
        seen.append(uc.reg_read(arm_const.UC_ARM_REG_PC))

    hooks = [uc.hook_add(unicorn.UC_HOOK_BLOCK, on_block), uc.hook_add(unicorn.UC_HOOK_MEM_READ, on_load)]
    uc.ctl_flush_tb()
    uc.emu_start(_ADDRESS | 1, _LOAD + 2)
    flag.value = 0
    for hook in hooks:
        uc.hook_del(hook)
    return seen[0]
