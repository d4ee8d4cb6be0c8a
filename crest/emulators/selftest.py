"""Checks once a process that the native hook and the installed Unicorn fit together."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Final

import unicorn

from crest.errors import EmulationError

_ADDRESS: Final = 0x1000
# movs r0, #5; loop: subs r0, #1; bne loop; wfi
_PROGRAM: Final = bytes.fromhex("05200138fdd130bf")
# Unicorn begins a block at the loop once it is jumped to: (address, bytes, executions).
_EXPECTED: Final = {(_ADDRESS, 6, 1), (_ADDRESS + 2, 4, 4), (_ADDRESS + 6, 2, 1)}
_PINNED: Final = "2.1.4"


@functools.cache
def check_unicorn() -> None:
    """Count a program whose counts are known.

    Raises:
        EmulationError: the installed Unicorn does not do what the engine relies on.
    """
    try:
        counted = _count()
    except (AttributeError, TypeError, unicorn.UcError) as exc:
        raise _refusal(str(exc)) from exc
    if counted != _EXPECTED:
        raise _refusal(f"blocks counted: {sorted(counted)}, expected: {sorted(_EXPECTED)}")


def _count() -> set[tuple[int, int, int]]:
    from crest.emulators.hooks import Hooks

    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, unicorn.arm_const.UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(_ADDRESS, 0x1000)
    uc.mem_write(_ADDRESS, _PROGRAM)
    hooks = Hooks(uc, (), None)
    hooks.state.guard_blocks = 100
    hooks.state.counting = 1
    uc.emu_start(_ADDRESS | 1, 0xFFFFFFFE)
    hooks.state.bank, hooks.state.windows = 1, 1  # as the mark that closes a window does
    table = hooks.edges()
    executions: Counter[tuple[int, int]] = Counter()
    for edge in table[table["count"] > 0]:
        executions[int(edge["key"]) & 0xFFFFFFFF, int(edge["sizes"]) & 0xFFFFFF] += int(edge["count"])
    return {(*block, count) for block, count in executions.items()}


def _refusal(what: str) -> EmulationError:
    return EmulationError(
        f"unicorn {unicorn.__version__} does not work with the native hook: {what}",
        hint=f"pip install unicorn=={_PINNED}",
    )
