"""Model families: a search space, and a function that turns a candidate into a layer graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, cast

from crest.errors import ModelError
from crest.models.axes import Axis, ConditionalAxis
from crest.models.layers import LayerGraph
from crest.plugins import Plugins
from crest.workloads.base import Head

_FAMILIES: Final = Plugins("model family", "crest.families", {"tcn": "crest.models.tcn:TCN"}, plural="families")


class Family(Protocol):
    """A family of networks.

    Attributes:
        name: how studies call it.
        space: the axes by name; a conditional axis comes after the categorical one that it depends on.
    """

    name: str
    space: dict[str, Axis]

    def build(self, candidate: Mapping[str, Any], input_shape: tuple[int, ...], heads: Sequence[Head]) -> LayerGraph:
        """The layer graph of a candidate: one value per axis, one output per head in the order of ``heads``.

        Raises:
            ModelError: the candidate is not in the space, or the input does not suit the family.
        """
        ...


def family_names() -> list[str]:
    """Names of all families, built in or installed, sorted."""
    return _FAMILIES.names()


def load_family(name: str) -> Family:
    """An instance of the family of that name; the built-in ones cannot be shadowed.

    Raises:
        StudyError: no such family, or an installed one that cannot be imported.
    """
    return cast(Family, _FAMILIES.load(name)())


def check_candidate(space: Mapping[str, Axis], candidate: Mapping[str, Any]) -> None:
    """Make sure that a candidate has one value of every axis that exists under its choices, and no other.

    Raises:
        ModelError: a value is missing, left over or outside of its axis.
    """
    for name in candidate:
        if name not in space:
            raise ModelError(f"candidate: {name!r} is not an axis of the family", hint=f"axes: {', '.join(space)}")
    for name, axis in space.items():
        if isinstance(axis, ConditionalAxis) and not axis.exists_in(candidate):
            if name in candidate:
                raise ModelError(
                    f"candidate: {name!r} has a value, but does not exist under its {axis.parent}",
                    hint=f"it exists under {axis.parent}: {', '.join(map(str, axis.choices))}",
                )
            continue
        held = axis.axis if isinstance(axis, ConditionalAxis) else axis
        if name not in candidate:
            raise ModelError(f"candidate: no value for the axis {name!r}")
        if not held.contains(candidate[name]):
            raise ModelError(f"candidate: {name} = {candidate[name]!r} is outside of {held}")
