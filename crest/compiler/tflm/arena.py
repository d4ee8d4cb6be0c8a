"""Finds how much arena the interpreter needs to be prepared, by asking firmware in the emulator."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from elftools.elf.elffile import ELFFile

from crest.compiler.build import check_room
from crest.compiler.graph import Graph
from crest.compiler.layout import Layout
from crest.compiler.linker import linkable_bytes
from crest.compiler.memory_report import code_bytes
from crest.compiler.tflm.probe import STACK_TOP, Report, Stage, probe, symbol_address
from crest.emulators.base import STACK_LIMIT_SYMBOL
from crest.errors import CapacityError, EmulationError, ModelError
from crest.targets import Target

# Kept free while the interpreter is asked how much arena it needs.
_PROBE_STACK_BYTES: Final = 8192
_ALIGNMENT_BYTES: Final = 16
# Planning the arena may take more than what is in use afterwards; how often a larger one is tried.
_GROWTHS: Final = 12


def fit_arena(graph: Graph, target: Target, layout: Layout, link: Callable[[int], bytes]) -> tuple[bytes, Report]:
    """Firmware whose arena is as large as the interpreter needs it, and what it reports.

    Args:
        graph: the model, for messages.
        target: the board.
        layout: where the arena lies.
        link: makes firmware with an arena of so many bytes.

    Raises:
        ModelError: a kernel refuses an operator.
        CapacityError: the memory that is left does not do.
        EmulationError: the interpreter faults.
    """
    most = _largest_arena(ELFFile(io.BytesIO(link(_ALIGNMENT_BYTES))), target, layout)
    report = probe(link(most), target)
    if report.stage is not Stage.READY:
        raise _refusal(graph, target, report, most)
    size = _align(report.arena_used_bytes)
    for attempt in range(_GROWTHS):
        elf = link(min(size, most))
        report = probe(elf, target)
        if report.stage is Stage.READY:
            return elf, report
        size += _ALIGNMENT_BYTES << attempt
    raise _refusal(graph, target, report, size)


def _largest_arena(empty: ELFFile, target: Target, layout: Layout) -> int:
    """Bytes that the arena may have, from firmware that has next to none."""
    if layout.arena == target.data_region:
        free, kept = symbol_address(empty, STACK_TOP) - symbol_address(empty, STACK_LIMIT_SYMBOL), _PROBE_STACK_BYTES
    else:
        free = linkable_bytes(target, layout, layout.arena)
        kept = code_bytes(empty) if layout.code == layout.arena else 0
    words = "beside everything else, TFLite Micro's stack and arena need"
    check_room("RAM", kept + _ALIGNMENT_BYTES, free, target.name, words)
    return (free - kept) // _ALIGNMENT_BYTES * _ALIGNMENT_BYTES


def _align(size: int) -> int:
    return -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES


def _refusal(
    graph: Graph, target: Target, report: Report, arena_bytes: int
) -> ModelError | CapacityError | EmulationError:
    """Why the interpreter did not come to its end."""
    if report.stage is not Stage.REFUSED:
        return EmulationError(f"{graph.name}: TFLite Micro stops at {report.stage.name.lower()}: {report.failure}")
    if report.refused is not None:
        kind = graph.operators[report.refused].kind
        return ModelError(
            f"{graph.name}: operator {report.refused} ({kind}): refused by TFLite Micro's kernel, or "
            f"{arena_bytes} bytes of arena are too few",
            hint="its types and options may not be among those that this version of TFLite Micro supports",
        )
    return CapacityError(
        f"does not fit the RAM of {target.name}: TFLite Micro needs more than {arena_bytes} bytes of arena",
        hint="a smaller model, or a larger board",
    )
