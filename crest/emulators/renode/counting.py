"""Profiles of a machine inside Renode: by opcode counters always, by a trace of every instruction on request."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from crest.emulators.base import LAYER_MARK_SYMBOL
from crest.emulators.blocks import Block
from crest.emulators.counted import counted_parts
from crest.emulators.counts import build_profile
from crest.emulators.elf import ElfImage
from crest.emulators.isa import check_block
from crest.emulators.profile import ExecutionProfile
from crest.emulators.renode.failure import Execute
from crest.emulators.renode.marks import Mark, Window
from crest.emulators.renode.opcodes import count_classes, opcode_counters, unseen_counts
from crest.emulators.renode.platform import script_path
from crest.emulators.renode.replay import code_reader, replay, window_trace
from crest.emulators.renode.trace import Trace, read_trace
from crest.targets import Target


class Counting:
    """Counts for one machine.

    Args:
        execute: runs a command of the monitor.
        folder: where traces go.
        image: what runs.
        target: on what.
        identity: name, version and mode of the engine.
    """

    def __init__(self, execute: Execute, folder: Path, image: ElfImage, target: Target, identity: str) -> None:
        self._execute, self._folder, self._image, self._target = execute, folder, image, target
        self._identity = identity
        self._code_at = code_reader(image)
        self.counters = opcode_counters(image, target.core)
        self._trace_path: Path | None = None
        self._traces = self._trace_start = 0
        self._traced: tuple[Window, Trace] | None = None

    @property
    def tracing(self) -> bool:
        """Whether every instruction is being traced."""
        return self._trace_path is not None

    def begin_trace(self, executed: int) -> None:
        """Trace from here, where ``executed`` instructions have been executed."""
        self._traces += 1
        self._trace_path = self._folder / f"trace-{self._traces}.bin"
        self._trace_start = executed
        tracer = f"crest_trace_{self._traces}"
        self._execute(f'cpu CreateExecutionTracing "{tracer}" {script_path(self._trace_path)} PC true')
        self._execute(f"{tracer} TrackMemoryAccesses")

    def end_trace(self, window: Window | None) -> None:
        """Stop the trace; what it holds of the last complete window is kept, if it holds all of that window."""
        if self._trace_path is None:
            return
        path, self._trace_path = self._trace_path, None
        self._execute("cpu DisableExecutionTracing")
        if window is not None and window.marks[0].executed >= self._trace_start:
            mark_address = self._image.symbols[LAYER_MARK_SYMBOL]
            self._traced = (window, window_trace(read_trace(path), window, self._trace_start, mark_address))
        path.unlink(missing_ok=True)

    def profile(self, window: Window) -> ExecutionProfile:
        """Counts of a window: all of them when it was traced, else what opcode counters see."""
        if self._traced is not None and self._traced[0] is window:
            return self._of_trace(*self._traced)
        return self._of_counters(window)

    def _of_trace(self, window: Window, trace: Trace) -> ExecutionProfile:
        mark_address = self._image.symbols[LAYER_MARK_SYMBOL]
        hooks = replay(trace, window, mark_address, self._code_at, self._target)
        parts = counted_parts(hooks, self._block_at, self._code_at, self._image)
        return build_profile(self._identity, self._target.core, parts)

    def _block_at(self, address: int, size: int) -> Block:
        return check_block(self._code_at(address, size), address, self._image, self._target)

    def _of_counters(self, window: Window) -> ExecutionProfile:
        rows: dict[int, dict[str, int]] = {}
        for mark, following in pairwise(window.marks):
            counts = count_classes(self.counters, _moved(mark, following), following.executed - mark.executed)
            row = rows.setdefault(mark.row, {})
            for name, number in counts.items():
                row[name] = row.get(name, 0) + number
        unseen = unseen_counts(self.counters, _moved(window.marks[0], window.marks[-1]))
        profile = build_profile(self._identity, self._target.core, [rows])
        return profile.model_copy(update={"unseen": unseen})


def _moved(mark: Mark, following: Mark) -> tuple[int, ...]:
    return tuple(b - a for a, b in zip(mark.counters, following.counters, strict=True))
