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


def front(points: Sequence[Point], owners: Sequence[int]) -> list[int]:
    """Indices, increasing, of the points that no other dominates; of equal points of one owner the first alone."""
    first: dict[tuple[int, tuple[float, ...]], int] = {}
    for index in non_dominated(points):
        first.setdefault((owners[index], tuple(points[index])), index)
    return list(first.values())
