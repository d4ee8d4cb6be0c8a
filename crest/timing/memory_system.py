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

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from crest.assets import asset_path
from crest.emulators.profile import DERIVED_COUNTS, EVENT_COUNTS, INSTRUCTION_CLASSES
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.measurement import Estimate
from crest.targets import Target
from crest.yaml_io import load_yaml, validate


class Term(Frozen):
    """Cycles that each occurrence of a count takes beyond the core's own."""

    count: str
    cycles: float = Field(ge=0)
    low: float = Field(ge=0, description="over the folds of the cross-validation, by the document, or declared")
    high: float = Field(ge=0)
    origin: Literal["fit", "document", "declared"]
    meaning: str = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Term:
        if self.count not in {**INSTRUCTION_CLASSES, **DERIVED_COUNTS, **EVENT_COUNTS}:
            raise ValueError(f"no such count in an execution profile: {self.count}")
        if not self.low <= self.cycles <= self.high:
            raise ValueError(f"cycles {self.cycles:g} lie outside of [{self.low:g}, {self.high:g}]")
        return self


class RelativeError(Frozen):
    """Ends of measured / predicted cycles, and how likely they hold."""

    low: float = Field(gt=0, le=1)
    high: float = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    reason: str = Field(min_length=1)


class MemoryTiming(Frozen):
    """The memory system of a target at one clock.

    Attributes:
        domain: by count, the range of its share of the executed instructions in the programs that were fitted.
        data: what the terms were fitted to; ``residual``: how well they fit it.
    """

    target: str
    version: int = Field(ge=1)
    clock_mhz: float = Field(gt=0)
    terms: tuple[Term, ...] = Field(min_length=1)
    candidate_error: RelativeError
    common_error: RelativeError
    domain: dict[str, tuple[float, float]]
    data: str = Field(min_length=1)
    residual: str = Field(min_length=1)

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
        None where there is none.

    Raises:
        AssetError: it is malformed, of another board, or of another clock than the target's fastest.
    """
    beside = target.folder / f"{target.name}.memory.yaml" if target.folder else None
    path = beside if beside and beside.exists() else asset_path("emulation", "memories") / f"{target.name}.yaml"
    if not path.exists():
        return None
    timing = validate(load_yaml(path, AssetError), MemoryTiming, str(path), AssetError)
    if timing.target != target.name:
        raise AssetError(f"{path}: this is the memory system of {timing.target!r}, not of {target.name!r}")
    fastest_mhz = max(target.clock_mhz)
    if timing.clock_mhz != fastest_mhz:
        raise AssetError(
            f"{path}: these are waits at {timing.clock_mhz:g} MHz, and {target.name} runs at {fastest_mhz:g} MHz",
            hint="wait states change with the clock: state the terms at the fastest clock of the target",
        )
    return timing
