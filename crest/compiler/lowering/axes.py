"""Loops over tensors as the kernels take them: few axes, each with a step for every operand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from crest.errors import ModelError

LOOPS: Final = 4


def pitches(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next on each axis of a contiguous tensor."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def broadcast_steps(shape: Sequence[int], out_shape: Sequence[int]) -> list[int]:
    """Elements from one output index to the next in an operand that broadcasts: 0 where it repeats."""
    aligned = [1] * (len(out_shape) - len(shape)) + list(shape)
    return [0 if size == 1 else pitch for size, pitch in zip(aligned, pitches(aligned), strict=True)]


def merge(counts: Sequence[int], *steps: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """The same loops with as few axes as possible.

    Axes of length 1 go; neighbours that all operands walk through evenly become one.
    """
    kept: list[tuple[int, list[int]]] = []
    for count, *step in zip(counts, *steps, strict=True):
        if count == 1:
            continue
        if kept and all(outer == inner * count for outer, inner in zip(kept[-1][1], step, strict=True)):
            kept[-1] = (kept[-1][0] * count, step)
        else:
            kept.append((count, step))
    return [count for count, _ in kept], [[step[i] for _, step in kept] for i in range(len(steps))]


def loops(counts: Sequence[int], *steps: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Merged loops, filled up in front to the number that kernels expect."""
    merged_counts, merged_steps = merge(counts, *steps)
    if len(merged_counts) > LOOPS:
        raise ModelError(f"its {len(counts)} axes do not merge to {LOOPS}")
    missing = LOOPS - len(merged_counts)
    return [1] * missing + merged_counts, [[0] * missing + step for step in merged_steps]
