"""A slow reference of the memory system's events: every block and access recorded by Python, replayed line by line."""

from __future__ import annotations

from collections import Counter, OrderedDict

import unicorn
from unicorn import arm_const

from tests.emulators import firmware


class LruCache:
    """Lines by set, in the order of their last use, with whether they were stored to."""

    def __init__(self, shape):
        self.shape = shape
        self.sets = [OrderedDict() for _ in range(shape.lines // shape.ways)]

    def line(self, address):
        return address // self.shape.line_bytes

    def holds(self, line):
        return line in self.sets[line % len(self.sets)]

    def touch(self, line, dirty=False):
        """Returns (missed, a dirty line was replaced)."""
        lines = self.sets[line % len(self.sets)]
        missed = line not in lines
        evicted_dirty = False
        if missed and len(lines) == self.shape.ways:
            evicted_dirty = lines.popitem(last=False)[1]
        lines[line] = lines.pop(line, False) or dirty
        return missed, evicted_dirty


class Trace:
    """Records the last window that a machine runs; count_memory must be on."""

    def __init__(self, machine):
        self.steps = []
        self._row = None
        self._mark = machine._image.symbols["crest_layer_mark"]
        machine._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        machine._uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._on_access)
        machine._uc.ctl_flush_tb()

    def _on_block(self, uc, address, size, _data):
        if address == self._mark:
            mark = uc.reg_read(arm_const.UC_ARM_REG_R0)
            if mark == firmware.OPEN:
                self.steps = []
            self._row = {firmware.OPEN: -1, firmware.OVERHEAD: -1, firmware.CLOSE: None}.get(mark, mark)
        if self._row is not None:
            self.steps.append((self._row, "fetch", address, size))

    def _on_access(self, _uc, kind, address, size, _value, _data):
        if self._row is not None:
            self.steps.append((self._row, "store" if kind == unicorn.UC_MEM_WRITE else "load", address, size))


class Reference:
    """Replays a trace on a target's geometry."""

    def __init__(self, target):
        self.geometry = target.memory_geometry
        self.target = target
        shapes = (self.geometry.instruction_cache, self.geometry.data_cache)
        self.instruction, self.data = (LruCache(shape) if shape else None for shape in shapes)
        if self.geometry.unified:
            self.data = self.instruction
        self.counts = {}
        self.fetched = self.loaded = self.end = None

    def replay(self, steps):
        """Events by row, -1 being the overhead."""
        for row, kind, address, size in steps:
            events = self.counts.setdefault(row, Counter())
            region = next((r for r in self.target.regions if r.base <= address < r.end), None)
            if region is None:
                continue
            cached = region.name in self.geometry.cached_regions
            if kind == "fetch":
                if region.kind == "flash" or cached:
                    self.fetch(address, size, events)
                self.end = address + size
            elif region.kind == "flash":
                self.load_flash(address, size, cached, events)
            elif cached and self.data:
                self.access(kind, address, size, events)
        return {row: dict(+events) for row, events in self.counts.items() if +events}

    def fetch(self, address, size, events):
        way = "sequential" if address == self.end else "branch"
        for halfword in range(address, address + size, 2):
            line = halfword // self.geometry.line_bytes
            if line != self.fetched:
                events[f"fetch_lines_{way}"] += 1
                if self.instruction:
                    missed, dirty = self.instruction.touch(self.instruction.line(halfword))
                    events[f"fetch_misses_{way}"] += missed
                    events["write_backs"] += dirty
            self.fetched = line
            way = "sequential"

    def load_flash(self, address, size, cached, events):
        for start in self.starts(address, size, self.geometry.line_bytes):
            line = start // self.geometry.line_bytes
            events["flash_load_line_changes"] += line != self.loaded
            self.loaded = line
            if cached and self.data:
                number = self.data.line(start)
                follows = self.data.holds(number - 1)
                missed, dirty = self.data.touch(number)
                events["flash_load_misses"] += missed
                events["flash_load_misses_sequential"] += missed and follows
                events["write_backs"] += dirty

    def access(self, kind, address, size, events):
        for start in self.starts(address, size, self.data.shape.line_bytes):
            missed, dirty = self.data.touch(self.data.line(start), kind == "store")
            events[f"ram_{kind}_misses"] += missed
            events["write_backs"] += dirty

    @staticmethod
    def starts(address, size, line_bytes):
        """First byte of an access in each line that it touches."""
        first = {}
        for byte in range(address, address + size):
            first.setdefault(byte // line_bytes, byte)
        return list(first.values())
