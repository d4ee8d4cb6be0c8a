"""The error of a firmware that was stopped: the same words whichever engine stopped it."""

from __future__ import annotations

from collections.abc import Mapping

from crest.emulators.base import LAYER_MARK_SYMBOL
from crest.emulators.elf import ElfImage
from crest.errors import EmulationError


def stop_error(
    text: str, pc: int, image: ElfImage, place: str, registers: Mapping[str, int], hint: str | None = None
) -> EmulationError:
    """The error for ``text``: with PC, nearest symbol and place in the message, registers in the hint.

    A firmware that marks no layers has no places.
    """
    where = f", {place}" if LAYER_MARK_SYMBOL in image.symbols else ""
    dump = " ".join(f"{name}={value:#x}" for name, value in registers.items())
    return EmulationError(
        f"the firmware stopped at {pc:#010x} ({image.nearest_symbol(pc)}){where}: {text}",
        hint=(f"{hint}; " if hint else "") + f"registers: {dump}",
    )


def place_of(counting: bool, row: int) -> str:
    """Where a firmware is, in words; row 0 is outside of the layers, row i + 1 is layer i."""
    if not counting:
        return "outside of the latency window"
    return f"in layer {row - 1}" if row else "in the window, outside of the layers"
