"""The cycle model of a target: instruction timing of its core, times what its memories make it wait.

::

    core cycles = instructions + sum over counts of count * added cycles      (emulation/cores/<core>.yaml)
                - sum over counts of count * saved cycles
                + unaligned data accesses * their added cycles
    cycles      = core cycles * fetch_stall_factor                             (emulation/targets/<target>.yaml)
               or core cycles + waits of the memory system                     (emulation/memories/<target>.yaml)

The interval of the cycles is that of the factor, widened by the uncertainty of the core's timing where it states one,
or that of the memory system (``memory_system.py``). Most of it is common to all programs of a target: a ranking under
one model is tighter than its absolute figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import mul

from pydantic import Field, model_validator

from crest.assets import asset_path
from crest.count_names import DERIVED_COUNTS, INSTRUCTION_CLASSES, UNALIGNED_PREFIX
from crest.emulators.issue_rules import IssueRules
from crest.emulators.profile import ExecutionProfile
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.intervals import RelativeError, combine
from crest.measurement import Estimate
from crest.targets import StallFactor, Target
from crest.timing.memory_system import MemoryTiming, load_memory_timing
from crest.yaml_io import load_yaml, validate


class AddedCycles(Frozen):
    """Cycles that each occurrence of a count takes beyond the one of its instruction, or spares."""

    cycles: float = Field(ge=0)
    source: str = Field(min_length=1)


class CoreTiming(Frozen):
    """Instruction timing of a core with memories that never make it wait.

    ``uncertainty`` is absent where the stall factors of the targets already hold it; ``issue`` where instructions go
    one by one. The issue rules are applied when a program is executed: they decide counts, not cycles.
    """

    core: str
    version: int
    added_cycles: dict[str, AddedCycles]
    saved_cycles: dict[str, AddedCycles] = {}
    unaligned_access: AddedCycles
    issue: IssueRules | None = None
    uncertainty: RelativeError | None = None
    domain: str
    validation: str

    @model_validator(mode="after")
    def _counts_exist(self) -> CoreTiming:
        unknown = {*self.added_cycles, *self.saved_cycles} - set(INSTRUCTION_CLASSES) - set(DERIVED_COUNTS)
        if unknown:
            raise ValueError(f"no such counts in an execution profile: {', '.join(sorted(unknown))}")
        return self

    def cycles(self, counts: Mapping[str, int]) -> float:
        """Cycles of a set of counts."""
        added = sum(counts.get(name, 0) * item.cycles for name, item in self.added_cycles.items())
        saved = sum(counts.get(name, 0) * item.cycles for name, item in self.saved_cycles.items())
        unaligned = sum(number for name, number in counts.items() if name.startswith(UNALIGNED_PREFIX))
        return counts.get("instructions", 0) + added - saved + unaligned * self.unaligned_access.cycles


class CycleModel:
    """Cycles of execution profiles on one target.

    Args:
        timing: of the core.
        stalls: of the target, over all that is executed.
        memory: of the target, event by event; where it holds, it takes the place of ``stalls``.
    """

    def __init__(self, timing: CoreTiming, stalls: StallFactor, memory: MemoryTiming | None = None) -> None:
        self._timing = timing
        self._stalls = stalls
        self._memory = memory

    @property
    def identity(self) -> str:
        """What a record names: core, version of its timing, and the memory system or the stall factor of the target."""
        memory = self._memory
        waits = f"stalls x{self._stalls.value:g}" if memory is None else f"memories v{memory.version}"
        return f"{self._timing.core} v{self._timing.version}, {waits}"

    def layer_cycles(self, profile: ExecutionProfile) -> list[float]:
        """Cycles of each layer of a profile, in order."""
        self._check(profile)
        memory = self._memory_for(profile)
        return [self._cycles(layer.counts, memory) for layer in profile.layers]

    def cycles_so_far(self, counts: Mapping[str, int]) -> float:
        """Cycles of a part of a window, for the counters of a core that is being emulated."""
        return self._cycles(counts, self._memory_of(counts))

    def total_cycles(self, profile: ExecutionProfile) -> Estimate:
        """Cycles of the whole latency window, with the interval of the absolute figure.

        Raises:
            AssetError: the profile is of another core.
        """
        self._check(profile)
        counts, memory = profile.total(), self._memory
        if memory is None or memory.lacking(counts):
            return self._stalled(counts)
        waits = memory.waits_estimate(counts)
        errors = (error.estimate("emulated") for error in (memory.candidate_error, memory.common_error))
        estimate = combine(_with_waits, self._core_cycles(counts), waits, *errors)
        return _spanning(self._stalled(counts), estimate) if memory.outside(counts) else estimate

    def ranking_cycles(self, profile: ExecutionProfile) -> Estimate:
        """The same cycles with the interval of what differs from one program of the board to the next.

        What shifts all programs of a board alike cancels in a ranking and is left out; absent where the model does not
        tell the two apart.
        """
        self._check(profile)
        memory = self._memory_for(profile)
        error = self._stalls.candidate_error if memory is None else memory.candidate_error
        if error is None:
            return Estimate.absent(
                "the model of this board cannot tell errors of one program from common ones", "emulated"
            )
        cycles = Estimate(value=self._cycles(profile.total(), memory), origin="emulated")
        return combine(mul, cycles, error.estimate("emulated"))

    def notes(self, profile: ExecutionProfile) -> tuple[str, ...]:
        """What a reader of the cycles should know: where the model of the memories does not hold."""
        if self._memory is None:
            return ()
        if lacking := self._memory.lacking(profile.total()):
            return (f"cycles by the stall factor of the target: the profile does not count {', '.join(lacking)}",)
        if outside := self._memory.outside(profile.total()):
            return (
                "cycles by the stall factor of the target, with an interval that spans the model of its memories, too: "
                f"the program lies outside of what that was fitted on ({', '.join(outside)} per instruction)",
            )
        return ()

    def _memory_for(self, profile: ExecutionProfile) -> MemoryTiming | None:
        """The model of the memories, where it holds."""
        return self._memory_of(profile.total())

    def _memory_of(self, counts: Mapping[str, int]) -> MemoryTiming | None:
        memory = self._memory
        return None if memory is None or memory.lacking(counts) or memory.outside(counts) else memory

    def _cycles(self, counts: Mapping[str, int], memory: MemoryTiming | None) -> float:
        core = self._timing.cycles(counts)
        return core * self._stalls.value if memory is None else core + memory.waits(counts)

    def _stalled(self, counts: Mapping[str, int]) -> Estimate:
        stalls = self._stalls
        factor = Estimate(
            value=stalls.value, origin="emulated", low=stalls.low, high=stalls.high, confidence=stalls.confidence
        )
        return combine(mul, self._core_cycles(counts), factor)

    def _core_cycles(self, counts: Mapping[str, int]) -> Estimate:
        cycles, own = self._timing.cycles(counts), self._timing.uncertainty
        if own is None:
            return Estimate(value=cycles, origin="emulated")
        ends = {"low": cycles * own.low, "high": cycles * own.high, "confidence": own.confidence}
        return Estimate(value=cycles, origin="emulated", **ends)

    def _check(self, profile: ExecutionProfile) -> None:
        if profile.core != self._timing.core:
            raise AssetError(f"a profile of {profile.core} cannot be timed as {self._timing.core}")


def _with_waits(core: float, waits: float, *errors: float) -> float:
    return (core + waits) * math.prod(errors)


def _spanning(estimate: Estimate, other: Estimate) -> Estimate:
    """An estimate whose interval holds that of another as well."""
    ends = [end for one in (estimate, other) for end in (one.low, one.high) if end is not None]
    return estimate.model_copy(update={"low": min(ends), "high": max(ends)})


def load_core_timing(core: str) -> CoreTiming:
    """Read ``emulation/cores/<core>.yaml``.

    Raises:
        AssetError: there is none, or it is malformed.
    """
    path = asset_path("emulation", "cores") / f"{core}.yaml"
    if not path.exists():
        raise AssetError(f"core {core!r} has no instruction timing: {path} does not exist")
    return validate(load_yaml(path, AssetError), CoreTiming, str(path), AssetError)


def load_cycle_model(target: Target, code_region: str | None = None) -> CycleModel:
    """The cycle model of a target.

    Args:
        target: the board.
        code_region: where the code lies; by default where the target keeps it.

    Raises:
        AssetError: its core has no timing yet, or nothing is known of code in that region.
    """
    stalls = target.fetch_stall_factor
    if code_region not in (None, target.code_region):
        if code_region not in target.fetch_stall_factor_in:
            raise AssetError(
                f"target {target.name!r}: nothing is known of the cycles of code in {code_region}",
                hint="state a fetch_stall_factor_in for it in the target's file, or leave the code where it is",
            )
        stalls = target.fetch_stall_factor_in[code_region]
    memory = load_memory_timing(target)
    if memory is not None and memory.is_fitted and code_region not in (None, target.code_region):
        memory = None
    return CycleModel(_core_of(target), stalls, memory)


def _core_of(target: Target) -> CoreTiming:
    timing = load_core_timing(target.core)
    if target.multiplier_cycles == 1:
        return timing
    source = f"{target.name}: the small multiplier, Cortex-M0+ TRM (DDI 0484C), table 3-1"
    multiply = AddedCycles(cycles=target.multiplier_cycles - 1, source=source)
    return timing.model_copy(update={"added_cycles": {**timing.added_cycles, "mul": multiply}})
