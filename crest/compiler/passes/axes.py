"""How the axes of two shapes with the same elements belong together."""

from __future__ import annotations


def matching_axes(left: tuple[int, ...], right: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """Pairs of axes where the shapes differ by axes of length 1 alone; None where they differ by more."""
    left_axes, right_axes = ([axis for axis, size in enumerate(shape) if size > 1] for shape in (left, right))
    if [left[axis] for axis in left_axes] != [right[axis] for axis in right_axes]:
        return None
    return list(zip(left_axes, right_axes, strict=True))
