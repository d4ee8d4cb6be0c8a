"""Attaches the native hook to a Unicorn instance and owns the tables that it fills.

Unicorn's Python binding can only attach Python callbacks, which are tens of times slower. The native hook therefore
goes through names that are private to the binding: unicorn is pinned, and ``selftest.py`` checks them once a process.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
from unicorn.arm_const import UC_ARM_REG_EPSR, UC_ARM_REG_PC, UC_ARM_REG_R0
from unicorn.unicorn_py3 import unicorn as binding

from crest.emulators.base import LAYERS_MAX
from crest.emulators.counts import EDGE
from crest.emulators.native import BANKS, KINDS, REGIONS_MAX, HookState, load_hooks
from crest.errors import AssetError, EmulationError
from crest.targets import Region

_NO_MARK: Final = 1  # an odd address, which no block has
_CAPACITY_LOG2: Final = 13
_CAPACITY_LOG2_MAX: Final = 22


class Hooks:
    """Counts edges, and data accesses when asked to.

    Args:
        uc: the Unicorn instance; must outlive no longer than this object.
        regions: memory regions to tell data accesses apart; anything else is a peripheral.
        mark_address: entry of the function that marks layers; None when the firmware has none.

    Raises:
        AssetError: more regions than the hook has room for.
    """

    def __init__(self, uc: Any, regions: tuple[Region, ...], mark_address: int | None) -> None:
        if len(regions) > REGIONS_MAX:
            raise AssetError(f"{len(regions)} memory regions; the engine counts accesses to at most {REGIONS_MAX}")
        self._uc = uc
        self._library = load_hooks()
        self._memory_hook: Any = None
        self._edges = [np.zeros(1 << _CAPACITY_LOG2, EDGE) for _ in range(BANKS)]
        self._memory = [np.zeros((LAYERS_MAX + 1, REGIONS_MAX + 1, KINDS), np.uint64) for _ in range(BANKS)]
        self._region_names = (*(region.name for region in regions), "peripheral")
        self.state = HookState(
            reg_read=address_of(binding.uclib.uc_reg_read),
            reg_write=address_of(binding.uclib.uc_reg_write),
            emu_stop=address_of(binding.uclib.uc_emu_stop),
            register_r0=UC_ARM_REG_R0,
            register_epsr=UC_ARM_REG_EPSR,
            mark_address=_NO_MARK if mark_address is None else mark_address,
            layers_max=LAYERS_MAX,
            region_count=len(regions),
        )
        for index, region in enumerate(regions):
            self.state.regions[index].begin = region.base
            self.state.regions[index].end = region.end
        for bank in range(BANKS):
            self.state.edges[bank] = self._edges[bank].ctypes.data
            self.state.memory[bank] = self._memory[bank].ctypes.data
            self.state.capacity_log2[bank] = _CAPACITY_LOG2
        attach_native(uc, UC_HOOK_BLOCK, self._library.crest_block, self.state)

    @property
    def region_names(self) -> tuple[str, ...]:
        """Names along the region axis of ``accesses``."""
        return self._region_names

    def count_memory(self, enabled: bool) -> None:
        """Hook data accesses, or unhook them so thoroughly that the run is fast again."""
        if enabled == (self._memory_hook is not None):
            return
        self.state.memory_enabled = enabled
        if enabled:
            kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            self._memory_hook = attach_native(self._uc, kinds, self._library.crest_memory, self.state)
        else:
            self.state.memory_counted[self.state.bank] = 0
            _check(binding.uclib.uc_hook_del(self._uc._uch, self._memory_hook), "uc_hook_del")
            self._memory_hook = None
            # Unicorn takes deleted hooks off its lists when a run begins; an empty one does.
            pc = self._uc.reg_read(UC_ARM_REG_PC)
            self._uc.emu_start(pc | 1, pc)
        # Whether loads and stores call the hook is decided when a block is translated.
        self._uc.ctl_flush_tb()

    def grow(self) -> None:
        """Double the table of the window that is being counted.

        Raises:
            EmulationError: it is as large as it may get.
        """
        bank = self.state.bank
        log2 = self.state.capacity_log2[bank] + 1
        if log2 > _CAPACITY_LOG2_MAX:
            raise EmulationError(
                f"the latency window holds more than {1 << (_CAPACITY_LOG2_MAX - 1)} different branches",
                hint="close the window sooner, or count fewer layers",
            )
        table = np.zeros(1 << log2, EDGE)
        self._library.crest_grow(ctypes.byref(self.state), bank, table.ctypes.data, log2)
        self._edges[bank] = table

    def edges(self) -> NDArray[np.void]:
        """Table of the last complete window, dtype ``EDGE``; free slots have count 0."""
        return self._edges[self._complete_bank()]

    def accesses(self) -> NDArray[np.uint64] | None:
        """Accesses of the last complete window by [row, region, (load, store, unaligned)]; None if not counted."""
        bank = self._complete_bank()
        if not self.state.memory_counted[bank]:
            return None
        return self._memory[bank][: self.state.rows_used[bank]]

    def _complete_bank(self) -> int:
        if not self.state.windows:
            raise EmulationError(
                "no latency window has been completed", hint="run an inference between the marks that open and close it"
            )
        return int(self.state.bank) ^ 1


def attach_native(uc: Any, kind: int, function: Any, state: ctypes.Structure) -> Any:
    """Have Unicorn call a C function with ``state``, which must live as long as the hook; returns its handle."""
    handle = binding.uc_hook_h()
    status = binding.uclib.uc_hook_add(
        uc._uch,
        ctypes.byref(handle),
        kind,
        ctypes.cast(function, ctypes.c_void_p),
        ctypes.c_void_p(ctypes.addressof(state)),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),
    )
    _check(status, "uc_hook_add")
    return handle


def _check(status: int, call: str) -> None:
    if status:
        raise EmulationError(f"unicorn: {call} failed with error {status}")


def address_of(function: Any) -> int:
    """Address of a C function."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0
