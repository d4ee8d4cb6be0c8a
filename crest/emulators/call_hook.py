"""Attaches the hook that follows calls (``emulation/native/call_hook.c``) and owns the tables that it fills."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from unicorn import UC_HOOK_BLOCK
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_SP
from unicorn.unicorn_py3 import unicorn as binding

from crest.emulators.hooks import address_of, attach_native
from crest.emulators.native import load_library, words

DEPTH_MAX: Final = 256
NOWHERE: Final = 1  # an odd address, which no block has
NO_NODE: Final = 0xFFFFFFFF
_BLOCKS_LOG2: Final = 17
_NODES_LOG2: Final = 16
NODES_MAX: Final = 1 << _NODES_LOG2
_EDGES_LOG2: Final = 20

End = Literal["", "to", "returned", "budget", "full"]
_ENDS: Final[tuple[End, ...]] = get_args(End)


class _Table(ctypes.Structure):
    _fields_ = tuple(words("index", "index_log2", "entries", "words", "used", "capacity"))


class _Frame(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("parent", "return_address", "stack_pointer"))


class _State(ctypes.Structure):
    """``state_t`` of ``emulation/native/call_hook.c``, which documents the fields."""

    _fields_ = (
        *words("reg_read", "mem_read", "emu_stop", "register_sp", "register_lr", "stop_reason", "reason"),
        *words("from_address", "to_address", "end_on_return", "budget", "counting", "ended", "end_address"),
        *words(
            "instructions", "deep_calls", "node", "block", "depth", "function_count", "function_begins", "function_ends"
        ),
        ("blocks", _Table),
        ("nodes", _Table),
        ("edges", _Table),
        ("frames", _Frame * DEPTH_MAX),
    )


@dataclass(frozen=True)
class Window:
    """What is followed.

    Attributes:
        begin: address at which it begins; ``NOWHERE``: at reset.
        end: address at which it ends; ``NOWHERE``: elsewhere.
        ends_on_return: it also ends when the function at ``begin`` returns.
        instructions_max: it ends before it holds more.
    """

    begin: int
    end: int
    ends_on_return: bool
    instructions_max: int


class CallHook:
    """Counts moves between blocks by calling context.

    Args:
        uc: the Unicorn instance; its hook for counting is attached already.
        stop_reason: address of the word by which that hook is asked to stop.
        reason: what to write there.
        functions: (begin, end) of each, sorted, not overlapping; code elsewhere is of function ``len(functions)``.
        window: what is followed.

    Raises:
        EmulationError: the hook's state structure is not ours, or Unicorn refuses the hook.
        ToolchainError: the hook has to be built and cannot.
    """

    def __init__(
        self, uc: Any, stop_reason: int, reason: int, functions: Sequence[tuple[int, int]], window: Window
    ) -> None:
        library = load_library("call_hook", _State)
        self._begins = np.array([begin for begin, _ in functions], np.uint32)
        self._ends = np.array([end for _, end in functions], np.uint32)
        self._arrays: list[NDArray[Any]] = []
        self._state = _State(
            reg_read=address_of(binding.uclib.uc_reg_read),
            mem_read=address_of(binding.uclib.uc_mem_read),
            emu_stop=address_of(binding.uclib.uc_emu_stop),
            register_sp=UC_ARM_REG_SP,
            register_lr=UC_ARM_REG_LR,
            stop_reason=stop_reason,
            reason=reason,
            from_address=window.begin,
            to_address=window.end,
            end_on_return=window.ends_on_return,
            budget=window.instructions_max,
            node=NO_NODE,
            function_count=len(functions),
            function_begins=self._begins.ctypes.data,
            function_ends=self._ends.ctypes.data,
        )
        self._blocks = self._table(self._state.blocks, _BLOCKS_LOG2, 5)
        self._nodes = self._table(self._state.nodes, _NODES_LOG2, 3, extra=len(functions) + 1)
        self._nodes[NODES_MAX:, 0] = NO_NODE
        self._edges = self._table(self._state.edges, _EDGES_LOG2, 3)
        attach_native(uc, UC_HOOK_BLOCK, library.crest_call_block, self._state)

    @property
    def has_begun(self) -> bool:
        """Whether the window has begun."""
        return bool(self._state.edges.used)

    @property
    def ended(self) -> End:
        """How the window ended; empty while it has not."""
        return _ENDS[int(self._state.ended)]

    @property
    def instructions(self) -> int:
        """Instructions of the window so far."""
        return int(self._state.instructions)

    @property
    def deep_calls(self) -> int:
        """Calls deeper than ``DEPTH_MAX``: the functions between are missing from the paths of what they called."""
        return int(self._state.deep_calls)

    def last_move(self) -> tuple[int, int] | None:
        """(from, address) of the move that ended the window and is not counted; None where no move did."""
        if not self._state.ended:
            return None
        return int(self._state.node << 32 | self._state.block), int(self._state.end_address)

    def blocks(self) -> NDArray[np.uint64]:
        """Blocks [n, (address, bytes, kind, function, instructions)]."""
        return self._blocks[: self._state.blocks.used]

    def nodes(self) -> NDArray[np.uint64]:
        """Contexts [n, (parent or NO_NODE, function, calls)]; parents come before children.

        Behind the first ``NODES_MAX`` stand those of unknown callers, one for each function, for what came later.
        """
        used = int(self._state.nodes.used)
        return self._nodes[:used] if used < self._state.nodes.capacity else self._nodes

    def edges(self) -> NDArray[np.uint64]:
        """Moves [n, (from, to, count)]; a place is node << 32 | block, and all ones where the window began."""
        return self._edges[: self._state.edges.used]

    def _table(self, table: Any, capacity_log2: int, words: int, extra: int = 0) -> NDArray[np.uint64]:
        """Room for a table; most of it is never touched, so it takes no memory."""
        index = np.zeros(2 << capacity_log2, np.uint32)
        entries = np.zeros(((1 << capacity_log2) + extra, words), np.uint64)
        self._arrays += [index, entries]
        table.index, table.index_log2 = index.ctypes.data, capacity_log2 + 1
        table.entries, table.words, table.capacity = entries.ctypes.data, words, 1 << capacity_log2
        return entries
