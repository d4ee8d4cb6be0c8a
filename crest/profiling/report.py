"""What a profile says."""

from __future__ import annotations

from pydantic import Field

from crest.frozen import Frozen
from crest.measurement import Estimate

PROFILE_SCHEMA = 1


class FunctionCost(Frozen):
    """One function. ``inclusive`` holds what it called, each path once, however often it recurs in it."""

    name: str
    address: int | None
    file: str | None
    line: int | None
    calls: int
    self_instructions: int
    self_cycles: float
    inclusive_instructions: int
    inclusive_cycles: float


class LineCost(Frozen):
    """One source line; inlined code counts where it was written."""

    file: str
    line: int
    instructions: int
    cycles: float


class CallPath(Frozen):
    """A path of functions from the first one, with the cost of its last one in that context alone."""

    functions: tuple[str, ...]
    instructions: int
    cycles: float


class FirmwareProfile(Frozen):
    """A run of a firmware, or a part of it.

    Attributes:
        begins, ends: where the part begins, and why it ended, in words.
        cycles: of all, with an interval; the cycles of parts are its value split up, and share its interval.
        mix: instructions by class of ``crest.emulators.profile``.
        functions: by falling cycles of their own.
        lines: by falling cycles; ``lines_missing`` says why there are none.
        paths: calling contexts.
        output: text that the firmware wrote.
        notes: what to know before believing the figures.
    """

    schema_version: int = PROFILE_SCHEMA
    elf_sha256: str
    target: str
    core: str
    clock_mhz: float
    engine: str
    cycle_model: str
    begins: str
    ends: str
    exit_code: int | None
    instructions: int
    cycles: Estimate
    mix: dict[str, int]
    functions: tuple[FunctionCost, ...]
    lines: tuple[LineCost, ...]
    lines_missing: str | None
    paths: tuple[CallPath, ...] = Field(repr=False)
    output: str
    notes: tuple[str, ...]
