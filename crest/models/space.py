"""Counts the candidates of a search space and puts them in an order, conditional axes included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from crest.models.axes import Axis, ConditionalAxis, PlainAxis


def plain(axis: Axis) -> PlainAxis:
    """What an axis holds where it exists."""
    return axis.axis if isinstance(axis, ConditionalAxis) else axis


def space_size(space: Mapping[str, Axis]) -> int:
    """How many different candidates a space holds."""
    return _product(space, _roots(space))


def candidate_at(space: Mapping[str, Axis], index: int) -> dict[str, Any]:
    """The candidate with a number from 0 to ``space_size(space) - 1``; every candidate has one.

    Of the axes that always exist the first one changes fastest. Sets are lists, as in JSON.
    """
    found: dict[str, Any] = {}
    _place(space, _roots(space), index, found)
    return {name: found[name] for name in space if name in found}


def _place(space: Mapping[str, Axis], names: Sequence[str], index: int, found: dict[str, Any]) -> None:
    """Decode a mixed-radix number, of which each axis with all that depends on it is a digit."""
    for name in names:
        index, digit = divmod(index, _count(space, name))
        if not _has_dependents(space, name):
            value = plain(space[name]).values()[digit]
            found[name] = list(value) if isinstance(value, tuple) else value
            continue
        for choice in plain(space[name]).values():
            below = _dependents(space, name, choice)
            if digit < _product(space, below):
                found[name] = choice
                _place(space, below, digit, found)
                break
            digit -= _product(space, below)


def _count(space: Mapping[str, Axis], name: str) -> int:
    """How many values an axis has together with all axes that depend on it."""
    axis = plain(space[name])
    if not _has_dependents(space, name):
        return axis.size
    return sum(_product(space, _dependents(space, name, choice)) for choice in axis.values())


def _product(space: Mapping[str, Axis], names: Sequence[str]) -> int:
    return math.prod(_count(space, name) for name in names)


def _roots(space: Mapping[str, Axis]) -> list[str]:
    return [name for name, axis in space.items() if not isinstance(axis, ConditionalAxis)]


def _dependents(space: Mapping[str, Axis], parent: str, choice: Any) -> list[str]:
    return [name for name, axis in _conditional(space) if axis.parent == parent and axis.exists_under(choice)]


def _has_dependents(space: Mapping[str, Axis], name: str) -> bool:
    return any(axis.parent == name for _, axis in _conditional(space))


def _conditional(space: Mapping[str, Axis]) -> list[tuple[str, ConditionalAxis]]:
    return [(name, axis) for name, axis in space.items() if isinstance(axis, ConditionalAxis)]
