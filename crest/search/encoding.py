"""Search space to sampler parameters and back: a subset is one flag per element, everything else one parameter.

What exists only under a choice of another axis is a parameter like any other: where it does not exist its value is
ignored when decoding, so that no two codes of one candidate count as two.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from crest.models.axes import Axis, CategoricalAxis, ConditionalAxis, IntAxis, SubsetAxis
from crest.models.extras import require_search_extra
from crest.models.space import candidate_at, plain, space_size
from crest.search.contracts import Proposal

_QUANTIZATION: Final = "@quantization"


@dataclass(frozen=True)
class Encoding:
    """The space of a study: the axes of its family and its number formats.

    A categorical choice is coded by its index, a whole number by itself, a subset by one flag per element. The code
    has a fixed length, which the models of some samplers need.
    """

    space: Mapping[str, Axis]
    quantizations: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many different proposals exist."""
        return len(self.quantizations) * space_size(self.space)

    def at(self, index: int) -> Proposal:
        """The proposal with a number from 0 to ``size - 1``; every proposal has one."""
        index, quantization = divmod(index, len(self.quantizations))
        return Proposal(candidate_at(self.space, index), self.quantizations[quantization])

    def sample(self, seed: Sequence[int]) -> Proposal:
        """A proposal of which each value that exists is drawn uniformly; the same seed gives the same."""
        rng = np.random.default_rng(seed)
        candidate: dict[str, Any] = {}
        for name, axis in self.space.items():
            if _exists(axis, candidate):
                candidate[name] = _json_value(plain(axis).sample(rng))
        return Proposal(candidate, self.quantizations[int(rng.integers(len(self.quantizations)))])

    def distributions(self) -> dict[str, Any]:
        """Optuna's distribution of every parameter."""
        optuna = require_search_extra("optuna")
        found: dict[str, Any] = {
            _QUANTIZATION: optuna.distributions.CategoricalDistribution(list(range(len(self.quantizations))))
        }
        for name, conditional in self.space.items():
            axis = plain(conditional)
            if isinstance(axis, IntAxis):
                found[name] = optuna.distributions.IntDistribution(axis.low, axis.high)
            elif isinstance(axis, CategoricalAxis):
                found[name] = optuna.distributions.CategoricalDistribution(list(range(len(axis.choices))))
            else:
                for element in axis.elements:
                    found[_flag(name, element)] = optuna.distributions.CategoricalDistribution([False, True])
        return found

    def encode(self, proposal: Proposal, *, fixed_length: bool = True) -> dict[str, Any]:
        """The parameters of a proposal.

        Args:
            proposal: a point of the space.
            fixed_length: give what does not exist in this candidate the first value of its axis, always the same;
                else leave it out.
        """
        params: dict[str, Any] = {_QUANTIZATION: self.quantizations.index(proposal.quantization)}
        for name, conditional in self.space.items():
            axis = plain(conditional)
            if name not in proposal.candidate and not fixed_length:
                continue
            value: Any = proposal.candidate[name] if name in proposal.candidate else axis.values()[0]
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
        for name, conditional in self.space.items():
            if not _exists(conditional, candidate):
                continue
            axis = plain(conditional)
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


def _exists(axis: Axis, candidate: Mapping[str, Any]) -> bool:
    return not isinstance(axis, ConditionalAxis) or axis.exists_in(candidate)


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
