"""The probe suite: small programs that each do one kind of work, built for a target and run through a backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from crest.backends.base import Backend
from crest.calibrate.probe_build import PROBE_RUNTIME, build_probe
from crest.calibrate.probe_specs import core_specs, fetch_regions, memory_specs
from crest.calibrate.rows import ProbeRun
from crest.compiler.program import Program
from crest.compiler.toolchain import ZIG, CompilerChoice, target_toolchain
from crest.errors import CapacityError, StudyError
from crest.targets import Target
from crest.timing import load_cycle_model

INSTRUCTIONS: Final = 1_000_000
"""What one repetition of a probe executes by default, about: some milliseconds."""
# Below, the probes that go through 64 KiB at a time do not come round often enough.
_INSTRUCTIONS_MIN: Final = 200_000
_INSTRUCTIONS_MAX: Final = 1_000_000_000


def probe_suite(
    target: Target,
    clock_mhz: float | None = None,
    compiler: CompilerChoice = ZIG,
    instructions: int = INSTRUCTIONS,
) -> tuple[Program, ...]:
    """Build every probe that a target has the features and the room for.

    Probes of memories run with their code where the target keeps code. Those of the core come once for each region
    that code may be fetched from.

    Args:
        target: the board.
        clock_mhz: one of its clocks; by default the fastest.
        compiler: which compiler, with which flags.
        instructions: that one repetition executes, about.

    Raises:
        StudyError: no such clock, or a number of instructions that makes no sense.
        CapacityError: no probe fits.
        ToolchainError: the compiler is not installed, or failed.
    """
    if not _INSTRUCTIONS_MIN <= instructions <= _INSTRUCTIONS_MAX:
        raise StudyError(
            f"a probe of {instructions} instructions",
            hint=f"{_INSTRUCTIONS_MIN} to {_INSTRUCTIONS_MAX} make sense; a meter repeats them",
        )
    board = target.at(clock_mhz)
    toolchain = target_toolchain(compiler.cc, board, compiler.cflags)
    wanted = [(spec, region) for region in fetch_regions(board) for spec in core_specs(board, region)]
    wanted += [(spec, board.code_region) for spec in memory_specs(board)]
    programs = []
    for spec, region in wanted:
        with contextlib.suppress(CapacityError):
            programs.append(build_probe(spec, board, toolchain, region, instructions))
    if not programs:
        raise CapacityError(f"{target.name} has no room for any probe", hint="what does its file reserve?")
    return tuple(programs)


def run_probes(backend: Backend, programs: Iterable[Program]) -> list[ProbeRun]:
    """Run probes and networks one repetition after the other, their golden outputs checked.

    Returns:
        A row for each program, timed by the cycle model of its target.

    Raises:
        EmulationError: the firmware faulted.
        BackendError: the session broke, or an output is wrong.
    """
    return [_run(backend, program) for program in programs]


def _run(backend: Backend, program: Program) -> ProbeRun:
    profile = backend.run(program).profile
    cycles = load_cycle_model(program.target, program.layout.code).total_cycles(profile)
    assert cycles.value is not None
    clock_mhz = max(program.target.clock_mhz)
    return ProbeRun(
        name=program.name,
        group="probe" if program.runtime == PROBE_RUNTIME else "network",
        clock_mhz=clock_mhz,
        fetch_region=program.layout.code,
        counts=profile.total(),
        run_ms=cycles.value / clock_mhz * 1e-3,
        sleep=None,
        macs_by_operator=_macs_by_operator(program),
    )


def _macs_by_operator(program: Program) -> dict[str, int]:
    macs: dict[str, int] = {}
    for layer in program.layers:
        if layer.macs:
            macs[layer.operator] = macs.get(layer.operator, 0) + layer.macs
    return macs
