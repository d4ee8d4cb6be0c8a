"""Dominance, the front and the hypervolume of points that are to be minimized."""

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


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Volume of what the points dominate, up to ``reference``; points beyond the reference add nothing.

    Exact in any number of dimensions by slicing along the last one (Knowles 2002, HSO): a sweep in 2-D, and for
    fronts of a few dozen points quick enough in 3-D and 4-D.
    """
    inside = [tuple(point) for point in points if all(a < b for a, b in zip(point, reference, strict=True))]
    return _volume(inside, tuple(reference))


def _volume(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    if not points:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in points)
    levels = sorted({point[-1] for point in points})
    volume = 0.0
    for level, above in zip(levels, [*levels[1:], reference[-1]], strict=True):
        slice_points = [point[:-1] for point in points if point[-1] <= level]
        volume += (above - level) * _volume(slice_points, reference[:-1])
    return volume
