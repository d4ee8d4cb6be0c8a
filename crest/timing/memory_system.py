"""What the memories of a board make its core wait: cycles for each event, as data with an origin, a domain and errors.

::

    cycles = core cycles + sum over terms of count * cycles      (emulation/memories/<target>.yaml)

A file exists where cycles of known programs on that chip are at hand, or where wait states tell what an event costs.
Two errors are told apart: the *candidate* error is what the model gets wrong about one program and not about the next,
so that it blurs a ranking; the *common* error shifts all programs of the board alike, as do the core's own uncertainty
and the ends of terms that are declared. A program whose mix of instructions and events lies outside of what was fitted
is not extrapolated: it takes the stall factor of the target, and an interval that spans the sum of the terms as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, model_validator

from crest.assets import asset_path
from crest.count_names import DERIVED_COUNTS, EVENT_COUNTS, INSTRUCTION_CLASSES
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.intervals import RelativeError
from crest.measurement import Estimate
from crest.targets import Target
from crest.yaml_io import load_yaml, validate

_FLASH_READS: Final = (
    "fetch_misses_sequential", "fetch_misses_branch", "flash_load_misses", "flash_load_misses_sequential",
)  # fmt: skip
_COUNTS: Final = {**INSTRUCTION_CLASSES, **DERIVED_COUNTS, **EVENT_COUNTS}


class Term(Frozen):
    """Cycles that each occurrence of a count takes beyond the core's own."""

    count: str
    cycles: float = Field(ge=0, le=1e6)
    low: float = Field(ge=0, le=1e6, description="over the folds of the cross-validation, by the document, or declared")
    high: float = Field(ge=0, le=1e6)
    origin: Literal["fit", "document", "declared"]
    meaning: str = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Term:
        if self.count not in _COUNTS:
            raise ValueError(f"no such count in an execution profile: {self.count}")
        if not self.low <= self.cycles <= self.high:
            raise ValueError(f"cycles {self.cycles:g} lie outside of [{self.low:g}, {self.high:g}]")
        return self

    def sparing(self, cycles: float) -> Term:
        """The term with so many cycles less, not below zero; it is declared then."""
        low, value = (max(0.0, number - cycles) for number in (self.low, self.cycles))
        return self.model_copy(update={"low": low, "cycles": value, "origin": "declared"})


class MemoryTiming(Frozen):
    """The memory system of a target.

    Attributes:
        clock_mhz: of the core, at which the terms hold; None: at all, for the memories follow the core's clock.
        cycles_per_wait_state: of the core, which each read of flash takes less at a clock with a wait state less.
        domain: by count, the range of its share of the executed instructions in the programs that were fitted.
        data: what the terms were fitted to; ``residual``: how well they fit it.
    """

    target: str
    version: int = Field(ge=1)
    clock_mhz: float | None = Field(gt=0, le=10_000)
    cycles_per_wait_state: float = Field(default=1, ge=0, le=100)
    terms: tuple[Term, ...] = Field(min_length=1)
    candidate_error: RelativeError
    common_error: RelativeError
    domain: dict[str, tuple[float, float]]
    data: str = Field(min_length=1)
    residual: str = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> MemoryTiming:
        repeated = [name for name, times in Counter(term.count for term in self.terms).items() if times > 1]
        unknown = set(self.domain) - set(_COUNTS)
        empty = [name for name, (low, high) in self.domain.items() if not low <= high]
        for problem, names in (
            ("terms that stand twice", repeated), ("domain: no such counts", unknown), ("domain: empty ranges", empty),
        ):  # fmt: skip
            if names:
                raise ValueError(f"{problem}: {', '.join(sorted(names))}")
        return self

    def lacking(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        """Events that a term needs and that a profile does not hold: memory accesses were not counted."""
        has_events = any(name in counts for name in EVENT_COUNTS)
        return tuple(term.count for term in self.terms if term.count in EVENT_COUNTS and not has_events)

    def waits(self, counts: Mapping[str, int]) -> float:
        """Cycles beyond those of the core."""
        return sum(counts.get(term.count, 0) * term.cycles for term in self.terms)

    def waits_estimate(self, counts: Mapping[str, int]) -> Estimate:
        """The same, with an interval where the cycles of a term are declared."""
        ends = {
            end: sum(
                counts.get(term.count, 0) * (getattr(term, end) if term.origin == "declared" else term.cycles)
                for term in self.terms
            )
            for end in ("low", "high")
        }
        if ends["low"] == ends["high"]:
            return Estimate(value=self.waits(counts), origin="emulated")
        confidence = self.common_error.confidence
        return Estimate(value=self.waits(counts), origin="emulated", **ends, confidence=confidence)

    def at(self, target: Target) -> MemoryTiming | None:
        """The terms at the fastest clock of a target: reads of flash spare the wait states that it has less.

        The upper ends stay, for what a read costs beyond its wait states may not shrink with them.
        """
        clock_mhz = max(target.clock_mhz)
        if self.clock_mhz in (None, clock_mhz):
            return self
        now, then = target.flash_wait_states(clock_mhz), target.flash_wait_states(self.clock_mhz or clock_mhz)
        if now is None or then is None:
            return None
        spared = self.cycles_per_wait_state * (then - now)
        terms = tuple(term.sparing(spared) if term.count in _FLASH_READS else term for term in self.terms)
        return self.model_copy(update={"clock_mhz": clock_mhz, "terms": terms})

    @property
    def is_fitted(self) -> bool:
        """Whether a term was fitted: it then holds for code where that of the data lay."""
        return any(term.origin == "fit" for term in self.terms)

    def outside(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        """Counts whose share of the instructions lies outside of the domain."""
        instructions = max(1, counts.get("instructions", 0))
        shares = {name: counts.get(name, 0) / instructions for name in self.domain}
        return tuple(name for name, (low, high) in self.domain.items() if not low <= shares[name] <= high)


def load_memory_timing(target: Target) -> MemoryTiming | None:
    """Read ``emulation/memories/<target>.yaml``, or ``<target>.memory.yaml`` beside a target of the user's.

    Returns:
        None where there is none, or where it holds at another clock and the wait states at this one are not known.

    Raises:
        AssetError: it is malformed, or of another board.
    """
    beside = target.folder / f"{target.name}.memory.yaml" if target.folder else None
    path = beside if beside and beside.exists() else asset_path("emulation", "memories") / f"{target.name}.yaml"
    if not path.exists():
        return None
    timing = validate(load_yaml(path, AssetError), MemoryTiming, str(path), AssetError)
    if timing.target != target.name:
        raise AssetError(f"{path}: this is the memory system of {timing.target!r}, not of {target.name!r}")
    return timing.at(target)
