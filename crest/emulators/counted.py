"""What the tables of the native hook say of a window, whoever filled them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from crest.emulators.alignment import refuse_unaligned
from crest.emulators.counts import BlockAt, fold_edges, name_accesses, name_events
from crest.emulators.elf import ElfImage
from crest.emulators.hooks import Hooks


def counted_parts(
    hooks: Hooks, block_at: BlockAt, code_at: Callable[[int, int], bytes], image: ElfImage
) -> Sequence[Mapping[int, dict[str, int]]]:
    """Counts of the last complete window by row, in parts that count different things.

    Args:
        hooks: the tables.
        block_at: analysis of the block at (address, size in bytes).
        code_at: code at (address, size in bytes).
        image: whose symbols name a place.

    Raises:
        EmulationError: no window has been completed; instructions that the target does not have, or accesses that are
            faults on silicon.
    """
    if hooks.accesses() is not None:
        refuse_unaligned(hooks.unaligned(), code_at, image)
    return window_parts(hooks, block_at)


def window_parts(hooks: Hooks, block_at: BlockAt, bank: int | None = None) -> Sequence[Mapping[int, dict[str, int]]]:
    """Counts of a window by row, by default of the last complete one, in parts that count different things."""
    parts = [fold_edges(hooks.edges(bank), block_at)]
    if (accesses := hooks.accesses(bank)) is not None:
        parts.append(name_accesses(accesses, hooks.region_names))
    if (events := hooks.events(bank)) is not None:
        parts.append(name_events(events))
    return parts
