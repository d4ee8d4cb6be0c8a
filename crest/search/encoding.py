"""Search space to sampler parameters and back: a subset is one flag per element, everything else one parameter."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from crest.models.axes import Axis, CategoricalAxis, IntAxis, SubsetAxis
from crest.models.extras import require_search_extra
from crest.search.contracts import Proposal

_QUANTIZATION: Final = "@quantization"


@dataclass(frozen=True)
class Encoding:
    """The space of a study: the axes of its family and its number formats.

    A categorical choice is coded by its index, a whole number by itself. The code has a fixed length, which
    model-based samplers need.
    """

    space: Mapping[str, Axis]
    quantizations: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many different proposals exist."""
        total = len(self.quantizations)
        for axis in self.space.values():
            total *= axis.size
        return total

    def sample(self, seed: Sequence[int]) -> Proposal:
        """A proposal drawn uniformly; the same seed gives the same."""
        rng = np.random.default_rng(seed)
        candidate = {name: _json_value(axis.sample(rng)) for name, axis in self.space.items()}
        return Proposal(candidate, self.quantizations[int(rng.integers(len(self.quantizations)))])

    def distributions(self) -> dict[str, Any]:
        """Optuna's distribution of every parameter."""
        optuna = require_search_extra("optuna")
        found: dict[str, Any] = {
            _QUANTIZATION: optuna.distributions.CategoricalDistribution(list(range(len(self.quantizations))))
        }
        for name, axis in self.space.items():
            if isinstance(axis, IntAxis):
                found[name] = optuna.distributions.IntDistribution(axis.low, axis.high)
            elif isinstance(axis, CategoricalAxis):
                found[name] = optuna.distributions.CategoricalDistribution(list(range(len(axis.choices))))
            else:
                for element in axis.elements:
                    found[_flag(name, element)] = optuna.distributions.CategoricalDistribution([False, True])
        return found

    def encode(self, proposal: Proposal) -> dict[str, Any]:
        """The parameters of a proposal."""
        params: dict[str, Any] = {_QUANTIZATION: self.quantizations.index(proposal.quantization)}
        for name, axis in self.space.items():
            value = proposal.candidate[name]
            if isinstance(axis, IntAxis):
                params[name] = value
            elif isinstance(axis, CategoricalAxis):
                params[name] = _choice_index(axis, value)
            else:
                flags = axis.flags(value)
                params |= {_flag(name, item): member for item, member in zip(axis.elements, flags, strict=True)}
        return params

    def decode(self, params: Mapping[str, Any]) -> Proposal:
        """The proposal of any parameters within their distributions; a subset out of bounds is repaired."""
        candidate: dict[str, Any] = {}
        for name, axis in self.space.items():
            if isinstance(axis, IntAxis):
                candidate[name] = params[name]
            elif isinstance(axis, CategoricalAxis):
                candidate[name] = axis.choices[params[name]]
            else:
                flags = tuple(bool(params[_flag(name, element)]) for element in axis.elements)
                candidate[name] = list(_repaired(axis, flags))
        return Proposal(candidate, self.quantizations[params[_QUANTIZATION]])


def proposal_key(proposal: Proposal) -> str:
    """Equal for equal proposals: canonical JSON."""
    return json.dumps([proposal.candidate, proposal.quantization], sort_keys=True)


def _flag(name: str, element: int) -> str:
    return f"{name}[{element}]"


def _json_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _choice_index(axis: CategoricalAxis, value: Any) -> int:
    """Index of a choice; ``True`` and ``1`` are two."""
    return next(
        index
        for index, choice in enumerate(axis.choices)
        if choice == value and isinstance(choice, bool) == isinstance(value, bool)
    )


def _repaired(axis: SubsetAxis, flags: tuple[bool, ...]) -> tuple[int, ...]:
    """The subset of those flags; when the axis does not hold it, one as near as possible, always the same.

    Which members are added or dropped follows from a shuffle seeded by the flags, so that no element is favoured.
    """
    subset = axis.from_flags(flags)
    if subset is not None:
        return subset
    shuffle = random.Random(sum(1 << index for index, member in enumerate(flags) if member))
    if axis.allowed is not None:
        nearest = sorted(axis.allowed, key=lambda item: _distance(axis.flags(item), flags))
        smallest = _distance(axis.flags(nearest[0]), flags)
        return shuffle.choice([item for item in nearest if _distance(axis.flags(item), flags) == smallest])
    chosen = [element for element, member in zip(axis.elements, flags, strict=True) if member]
    others = [element for element in axis.elements if element not in chosen]
    missing = max(0, axis.min_size - len(chosen))
    kept = shuffle.sample(chosen, min(len(chosen), axis.max_size)) + shuffle.sample(others, missing)
    return tuple(element for element in axis.elements if element in kept)


def _distance(left: tuple[bool, ...], right: tuple[bool, ...]) -> int:
    return sum(a != b for a, b in zip(left, right, strict=True))
