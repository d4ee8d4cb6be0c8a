"""Dominance and the front of points that are to be minimized."""

from __future__ import annotations

from collections.abc import Sequence

Point = Sequence[float]


def dominates(left: Point, right: Point) -> bool:
    """Whether ``left`` is nowhere worse than ``right``, and somewhere better."""
    pairs = list(zip(left, right, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def non_dominated(points: Sequence[Point]) -> list[int]:
    """Indices, increasing, of the points that no other dominates; equal points stay together."""
    return [index for index, point in enumerate(points) if not any(dominates(other, point) for other in points)]
