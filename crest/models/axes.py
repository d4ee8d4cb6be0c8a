"""The axes of a search space: what values they hold, and how a study narrows them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, pairwise
from typing import Any

import numpy as np

from crest.errors import StudyError

Scalar = bool | int | float | str


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    """Equality that does not take True for 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _require_distinct(values: Sequence[Any], name: str) -> None:
    for index, value in enumerate(values):
        if any(_same(value, other) for other in values[:index]):
            raise StudyError(f"{name}: {value!r} is given twice")


@dataclass(frozen=True)
class IntAxis:
    """Every whole number from ``low`` to ``high``, both included."""

    low: int
    high: int

    @property
    def size(self) -> int:
        """How many values the axis holds."""
        return self.high - self.low + 1

    def values(self) -> Sequence[int]:
        """All values, in order."""
        return range(self.low, self.high + 1)

    def contains(self, value: Any) -> bool:
        """Whether ``value`` lies on the axis."""
        return _is_int(value) and self.low <= value <= self.high

    def sample(self, rng: np.random.Generator) -> int:
        """A value drawn uniformly."""
        return int(rng.integers(self.low, self.high + 1))

    def narrow(self, spec: Any, name: str = "axis") -> IntAxis:
        """Restrict to ``[low, high]`` or to one whole number.

        Raises:
            StudyError: not a range within this one; the message names the axis.
        """
        pair = [spec, spec] if _is_int(spec) else spec
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(_is_int(end) for end in pair):
            raise StudyError(f"{name}: expected [low, high] or one whole number, got {spec!r}")
        low, high = pair
        if low > high:
            raise StudyError(f"{name}: the range [{low}, {high}] is empty")
        if low < self.low or high > self.high:
            raise StudyError(
                f"{name}: [{low}, {high}] is not within the family's range",
                hint=f"it goes from {self.low} to {self.high}",
            )
        return IntAxis(low, high)


@dataclass(frozen=True)
class CategoricalAxis:
    """One of a few values, without an order."""

    choices: tuple[Scalar, ...]

    @property
    def size(self) -> int:
        """How many values the axis holds."""
        return len(self.choices)

    def values(self) -> Sequence[Scalar]:
        """All values, in order."""
        return self.choices

    def contains(self, value: Any) -> bool:
        """Whether ``value`` is one of the choices."""
        return any(_same(choice, value) for choice in self.choices)

    def sample(self, rng: np.random.Generator) -> Scalar:
        """A value drawn uniformly."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def narrow(self, spec: Any, name: str = "axis") -> CategoricalAxis:
        """Restrict to a list of choices, or to one.

        Raises:
            StudyError: an unknown or repeated choice; the message names the axis.
        """
        wanted = list(spec) if isinstance(spec, list | tuple) else [spec]
        if not wanted:
            raise StudyError(f"{name}: the list of choices is empty")
        for value in wanted:
            if not self.contains(value):
                known = ", ".join(str(choice) for choice in self.choices)
                raise StudyError(f"{name}: {value!r} is not one of the family's choices", hint=f"choices: {known}")
        _require_distinct(wanted, name)
        return CategoricalAxis(tuple(c for c in self.choices if any(_same(c, value) for value in wanted)))


@dataclass(frozen=True)
class SubsetAxis:
    """Any increasing subset of ``elements`` with ``min_size`` to ``max_size`` members.

    The value is a tuple of the members. Its structural code is one flag per element, so that sets which share
    members look alike to a sampler. ``allowed`` lists the sets explicitly when a study does.
    """

    elements: tuple[int, ...]
    min_size: int
    max_size: int
    allowed: tuple[tuple[int, ...], ...] | None = None

    @property
    def size(self) -> int:
        """How many values the axis holds."""
        if self.allowed is not None:
            return len(self.allowed)
        return sum(math.comb(len(self.elements), members) for members in range(self.min_size, self.max_size + 1))

    def values(self) -> Sequence[tuple[int, ...]]:
        """All values: small sets first, or the explicit ones in their order."""
        if self.allowed is not None:
            return self.allowed
        sizes = range(self.min_size, self.max_size + 1)
        return tuple(chain.from_iterable(combinations(self.elements, members) for members in sizes))

    def contains(self, value: Any) -> bool:
        """Whether ``value`` (a tuple or list) is one of the subsets."""
        if not isinstance(value, list | tuple) or not all(_is_int(item) and item in self.elements for item in value):
            return False
        if any(left >= right for left, right in pairwise(value)):
            return False
        if self.allowed is not None:
            return tuple(value) in self.allowed
        return self.min_size <= len(value) <= self.max_size

    def flags(self, value: Sequence[int]) -> tuple[bool, ...]:
        """The structural code of a subset: for each element, whether it is a member."""
        return tuple(element in value for element in self.elements)

    def from_flags(self, flags: Sequence[bool]) -> tuple[int, ...] | None:
        """The subset with those flags, or None when the axis does not hold it (too few or too many members)."""
        value = tuple(element for element, member in zip(self.elements, flags, strict=True) if member)
        return value if self.contains(value) else None

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """A value drawn uniformly."""
        if self.allowed is not None:
            return self.allowed[int(rng.integers(len(self.allowed)))]
        sizes = np.arange(self.min_size, self.max_size + 1)
        counts = np.array([math.comb(len(self.elements), int(members)) for members in sizes], dtype=np.float64)
        members = int(rng.choice(sizes, p=counts / counts.sum()))
        return tuple(sorted(int(item) for item in rng.choice(self.elements, size=members, replace=False)))

    def narrow(self, spec: Any, name: str = "axis") -> SubsetAxis:
        """Restrict with ``{elements: [...], min_size: n, max_size: n}`` (any of them) or a list of explicit sets.

        Raises:
            StudyError: nonsense, or sets that the family does not hold; the message names the axis.
        """
        if isinstance(spec, Mapping):
            return self._narrow_mapping(spec, name)
        if not isinstance(spec, list | tuple) or not spec:
            raise StudyError(
                f"{name}: expected a mapping or a list of sets, got {spec!r}",
                hint=f"for example {{elements: {list(self.elements)}, max_size: {self.max_size}}} or "
                f"[{list(self.elements[: self.max_size])}]",
            )
        for item in spec:
            if not self.contains(item):
                raise StudyError(f"{name}: {item!r} is not one of the family's sets", hint=self._describe())
        _require_distinct([tuple(item) for item in spec], name)
        return replace(self, allowed=tuple(tuple(item) for item in spec))

    def _narrow_mapping(self, spec: Mapping[Any, Any], name: str) -> SubsetAxis:
        if self.allowed is not None:
            raise StudyError(f"{name}: explicit sets can only be narrowed by a list of sets")
        fields = ("elements", "min_size", "max_size")
        for key in spec:
            if key not in fields:
                raise StudyError(f"{name}: unknown key {key!r}", hint=f"keys known there: {', '.join(fields)}")
        elements = spec.get("elements", list(self.elements))
        if not isinstance(elements, list | tuple) or not all(_is_int(e) and e in self.elements for e in elements):
            raise StudyError(f"{name}.elements: {elements!r} goes beyond the family's", hint=self._describe())
        _require_distinct(elements, f"{name}.elements")
        sizes = [spec.get("min_size", self.min_size), spec.get("max_size", min(self.max_size, len(elements)))]
        if not all(_is_int(size) and self.min_size <= size <= self.max_size for size in sizes):
            raise StudyError(
                f"{name}: sizes {sizes[0]!r}..{sizes[1]!r} are not within the family's", hint=self._describe()
            )
        if not sizes[0] <= sizes[1] <= len(elements):
            raise StudyError(f"{name}: no set of {sizes[0]} to {sizes[1]} members out of {len(elements)} elements")
        return SubsetAxis(tuple(e for e in self.elements if e in elements), sizes[0], sizes[1])

    def _describe(self) -> str:
        return f"increasing sets of {self.min_size} to {self.max_size} of {list(self.elements)}"


PlainAxis = IntAxis | CategoricalAxis | SubsetAxis


@dataclass(frozen=True)
class ConditionalAxis:
    """An axis that exists only under some choices of another; elsewhere a candidate has no such value.

    Attributes:
        parent: name of a categorical axis that comes earlier in the space; it may be conditional itself.
        choices: the parent's choices under which this axis exists.
        axis: what it holds there.
    """

    parent: str
    choices: tuple[Scalar, ...]
    axis: PlainAxis

    def exists_under(self, choice: Any) -> bool:
        """Whether the axis exists under a choice of its parent."""
        return any(_same(known, choice) for known in self.choices)

    def exists_in(self, candidate: Mapping[str, Any]) -> bool:
        """Whether the axis exists in a candidate, of which the axes before this one are known."""
        return self.parent in candidate and self.exists_under(candidate[self.parent])

    def narrow(self, spec: Any, name: str = "axis") -> ConditionalAxis:
        """Restrict what the axis holds where it exists.

        Raises:
            StudyError: as the axis inside; the message names the axis.
        """
        return replace(self, axis=self.axis.narrow(spec, name))


Axis = PlainAxis | ConditionalAxis


def narrow_space(space: Mapping[str, Axis], restrictions: Mapping[str, Any], source: str = "space") -> dict[str, Axis]:
    """A family's space with a study's restrictions applied; axes that are not named keep their full range.

    A conditional axis of which no condition is left is left out.

    Args:
        space: the family's axes by name.
        restrictions: what each axis's ``narrow`` takes, by axis name.
        source: dotted path of the restrictions in the study, for messages.

    Raises:
        StudyError: an unknown axis, or a restriction that makes no sense.
    """
    for name in restrictions:
        if name not in space:
            close = difflib.get_close_matches(str(name), space, n=1)
            raise StudyError(
                f"{source}: unknown axis {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
                hint=f"axes: {', '.join(space)}",
            )
    narrowed: dict[str, Axis] = {}
    for name, axis in space.items():
        if not isinstance(axis, ConditionalAxis) or _may_exist(axis, narrowed):
            narrowed[name] = axis.narrow(restrictions[name], f"{source}.{name}") if name in restrictions else axis
        elif name in restrictions:
            choices = ", ".join(map(str, axis.choices))
            raise StudyError(
                f"{source}.{name}: no such axis is left",
                hint=f"it exists only under {axis.parent}: {choices}, which {source} rules out",
            )
    return narrowed


def _may_exist(axis: ConditionalAxis, before: Mapping[str, Axis]) -> bool:
    """Whether a choice under which the axis exists is left of its parent."""
    parent = before.get(axis.parent)
    held = parent.axis if isinstance(parent, ConditionalAxis) else parent
    return held is not None and any(axis.exists_under(value) for value in held.values())
