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
from unicorn.arm_const import UC_ARM_REG_EPSR, UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_SP
from unicorn.unicorn_py3 import unicorn as binding

from crest.emulators.base import LAYERS_MAX
from crest.emulators.counts import SLOT
from crest.emulators.lazy_pc import flag_address
from crest.emulators.native import BANKS, EVENTS, KINDS, REGIONS_MAX, HookState, NativeCache, Table, load_hooks
from crest.errors import AssetError, EmulationError
from crest.targets import Cache, MemoryGeometry, Region

_NO_MARK: Final = 1  # an odd address, which no block has
_CAPACITY_LOG2: Final = 13
_UNALIGNED_LOG2: Final = 11
_CAPACITY_LOG2_MAX: Final = 22


class Hooks:
    """Counts edges, and data accesses when asked to.

    Args:
        uc: the Unicorn instance; must not outlive this object, whose tables the hooks write to.
        regions: memory regions to tell data accesses apart; anything else is a peripheral.
        mark_address: entry of the function that marks layers; None when the firmware has none.
        geometry: of the caches and lines whose events are counted with data accesses; None: no events.
        stack_limit: lowest address that the stack may reach; None when the firmware does not say.

    Raises:
        AssetError: more regions than the hook has room for.
    """

    def __init__(
        self,
        uc: Any,
        regions: tuple[Region, ...],
        mark_address: int | None,
        geometry: MemoryGeometry | None = None,
        stack_limit: int | None = None,
    ) -> None:
        if len(regions) > REGIONS_MAX:
            raise AssetError(f"{len(regions)} memory regions; the engine counts accesses to at most {REGIONS_MAX}")
        self._uc = uc
        self._library = load_hooks()
        self._memory_hook: Any = None
        self._tables: dict[int, NDArray[np.void]] = {}
        self._events = [np.zeros((LAYERS_MAX + 1, EVENTS), np.uint64) for _ in range(BANKS)]
        self._memory = [np.zeros((LAYERS_MAX + 1, REGIONS_MAX + 1, KINDS), np.uint64) for _ in range(BANKS)]
        self._region_names = (*(region.name for region in regions), "peripheral")
        self.state = HookState(
            reg_read=address_of(binding.uclib.uc_reg_read),
            reg_write=address_of(binding.uclib.uc_reg_write),
            emu_stop=address_of(binding.uclib.uc_emu_stop),
            register_r0=UC_ARM_REG_R0,
            register_epsr=UC_ARM_REG_EPSR,
            register_sp=UC_ARM_REG_SP,
            lazy_pc=flag_address(uc),
            mark_address=_NO_MARK if mark_address is None else mark_address,
            layers_max=LAYERS_MAX,
            stack_limit=stack_limit or 0,
            region_count=len(regions),
        )
        for index, region in enumerate(regions):
            self.state.regions[index].begin = region.base
            self.state.regions[index].end = region.end
        for bank in range(BANKS):
            self._place(self.state.edges[bank], _CAPACITY_LOG2)
            self._place(self.state.unaligned[bank], _UNALIGNED_LOG2)
            self.state.memory[bank] = self._memory[bank].ctypes.data
            self.state.events[bank] = self._events[bank].ctypes.data
        self._has_events = geometry is not None
        if geometry is not None:
            self._set_geometry(geometry, regions)
        self.block_hook = attach_native(uc, UC_HOOK_BLOCK, self._library.crest_block, self.state)

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

    def sync_pc(self) -> None:
        """Let the run stop where it is; who stops it outside of the native hook says so first."""
        if self.state.lazy_pc:
            ctypes.c_uint8.from_address(self.state.lazy_pc).value = 0

    def grow(self) -> None:
        """Double the tables of the window that is being counted which are half full.

        Raises:
            EmulationError: one is as large as it may get.
        """
        bank = self.state.bank
        for table in (self.state.edges[bank], self.state.unaligned[bank]):
            log2 = table.capacity_log2 + 1
            if not table.used >> (log2 - 2):
                continue
            if log2 > _CAPACITY_LOG2_MAX:
                raise EmulationError(
                    f"the latency window holds more than {1 << (_CAPACITY_LOG2_MAX - 1)} different branches, "
                    "or as many places of unaligned accesses",
                    hint="close the window sooner, or count fewer layers",
                )
            self._place(table, log2)

    @property
    def complete_bank(self) -> int:
        """Of the last complete window.

        Raises:
            EmulationError: there is none.
        """
        if not self.state.windows:
            raise EmulationError(
                "no latency window has been completed", hint="run an inference between the marks that open and close it"
            )
        return int(self.state.bank) ^ 1

    @property
    def open_bank(self) -> int:
        """Of the window that is being counted."""
        return int(self.state.bank)

    def edges(self, bank: int | None = None) -> NDArray[np.void]:
        """Table of a window, by default of the last complete one, dtype ``SLOT``; free slots have count 0."""
        return self._slots(self.state.edges[self._bank(bank)])

    def accesses(self, bank: int | None = None) -> NDArray[np.uint64] | None:
        """Accesses of a window by [row, region, (load, store, unaligned)]; None if not counted."""
        bank = self._bank(bank)
        if not self.state.memory_counted[bank]:
            return None
        return self._memory[bank][: self.state.rows_used[bank]]

    def events(self, bank: int | None = None) -> NDArray[np.uint64] | None:
        """Events of a window by [row, ``EVENT_COUNTS``]; None if not counted."""
        bank = self._bank(bank)
        if not self._has_events or not self.state.memory_counted[bank]:
            return None
        return self._events[bank][: self.state.rows_used[bank]]

    def unaligned(self) -> NDArray[np.void]:
        """Places of unaligned accesses in the last complete window, dtype ``SLOT``; free slots have count 0."""
        return self._slots(self.state.unaligned[self.complete_bank])

    def _bank(self, bank: int | None) -> int:
        return self.complete_bank if bank is None else bank

    def _slots(self, table: Table) -> NDArray[np.void]:
        return self._tables[ctypes.addressof(table)]

    def _place(self, table: Table, capacity_log2: int) -> None:
        """Give a native table its first memory, or move it to larger."""
        slots = np.zeros(1 << capacity_log2, SLOT)
        if table.slots:
            self._library.crest_grow(ctypes.byref(table), slots.ctypes.data, capacity_log2)
        else:
            table.slots, table.capacity_log2 = slots.ctypes.data, capacity_log2
        self._tables[ctypes.addressof(table)] = slots

    def _set_geometry(self, geometry: MemoryGeometry, regions: tuple[Region, ...]) -> None:
        system = self.state.system
        cached = {region.name for region in regions} & set(geometry.cached_regions)
        flash = {region.name for region in regions if region.kind == "flash"}
        system.fetched_regions = _mask(regions, flash | cached)
        system.flash_regions = _mask(regions, flash)
        system.cached_regions = _mask(regions, cached)
        system.line_log2 = geometry.line_bytes.bit_length() - 1
        system.is_unified = geometry.unified
        self._tags = [
            _shape(native, cache)
            for native, cache in (
                (system.instruction, geometry.instruction_cache),
                (system.data, geometry.data_cache),
            )
        ]
        system.enabled = 1


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


def _mask(regions: tuple[Region, ...], names: set[str]) -> int:
    return sum(1 << index for index, region in enumerate(regions) if region.name in names)


def _shape(native: NativeCache, cache: Cache | None) -> NDArray[np.uint32]:
    """Describe a cache to the hook; returns the tags, which must live as long."""
    tags = np.zeros(0 if cache is None else cache.lines, np.uint32)
    if cache is not None:
        native.line_log2 = cache.line_bytes.bit_length() - 1
        native.sets, native.ways, native.tags = cache.lines // cache.ways, cache.ways, tags.ctypes.data
    return tags
