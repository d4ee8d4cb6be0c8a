"""Checks a target of the user's: its file, its models, and that its firmware boots and answers in the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from crest.assets import asset_path
from crest.backends.emulated import MachineTransport
from crest.backends.session import check_golden_outputs, open_session
from crest.bringup.scaffold import TODO
from crest.compiler.build import build_program, lower_graph
from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.toolchain import target_toolchain
from crest.emulators.unicorn_engine import UnicornEngine
from crest.energy import load_power
from crest.errors import AssetError, CrestError
from crest.targets import Target, load_target
from crest.timing import load_cycle_model

# Far more than a start-up and a tiny program take: a bit that is polled and never comes is found in a second.
_PATIENCE_BLOCKS: Final = 3_000_000


class Finding(NamedTuple):
    """The outcome of one check; ``text`` names the place of what is wrong."""

    check: str
    passed: bool
    text: str
    hint: str | None = None


def lint_target(name_or_path: str | Path, cc: str = "zig") -> Iterator[Finding]:
    """Check a target, its models and its firmware folder; one finding a check, in order.

    A check whose ground has failed is not made. ``cc`` is the compiler, as ``CompilerChoice`` has it.
    """
    try:
        target = load_target(str(name_or_path))
    except CrestError as exc:
        yield Finding("target file", False, exc.message, exc.hint)
        return
    yield Finding("target file", True, f"{target.name}: {target.core} at {max(target.clock_mhz):g} MHz")
    yield from _check("sources", lambda: _sources(target))
    yield from _check("cycle model", lambda: load_cycle_model(target).identity)
    yield from _check("energy model", lambda: _energy(target))
    compiled = list(_check("firmware folder", lambda: _compile(target, cc)))
    yield from compiled
    if compiled[0].passed:
        yield from _check("emulator", lambda: _boot(target, cc))


def _check(name: str, check: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(name, True, check())
    except CrestError as exc:
        yield Finding(name, False, exc.message, exc.hint)


def _sources(target: Target) -> str:
    texts = {f"sources.facts.{index}": fact for index, fact in enumerate(target.sources.facts)}
    if not texts:
        raise AssetError("sources.facts: is empty", hint="name the document behind each fact of the file")
    texts |= {"description": target.description, "fetch_stall_factor.reason": target.fetch_stall_factor.reason}
    texts |= {f"fetch_stall_factor_in.{name}.reason": one.reason for name, one in target.fetch_stall_factor_in.items()}
    open_places = [place for place, text in texts.items() if not text.strip() or TODO in text]
    if open_places:
        raise AssetError(
            f"{', '.join(open_places)}: nothing is written yet, or it still says {TODO}",
            hint="a fact without a source cannot be checked by the next reader",
        )
    return f"{len(target.sources.facts)} named"


def _energy(target: Target) -> str:
    models = {load_power(target, clock_mhz).model for clock_mhz in target.clock_mhz}
    return "none: energies will be absent, with that reason" if models == {"none"} else ", ".join(sorted(models))


def _compile(target: Target, cc: str) -> str:
    folders = target.board_folders
    sources = sorted(source for folder in folders for source in folder.glob("*.c"))
    if not sources:
        raise AssetError(f"{folders[0]}: holds no C file", hint="firmware/runtime/board.h says what a board provides")
    runtime, kernels = asset_path("firmware", "runtime"), asset_path("firmware", "nn")
    taken = {path.name for path in (*runtime.glob("*.c"), *kernels.glob("*.c"))}
    for source in sources:
        if not source.name.startswith("harness_") or source.name in taken:
            raise AssetError(
                f"{source}: a file of the board is named harness_<something of its own>.c",
                hint="by its name the memory report tells what only measures from what ships",
            )
    toolchain = target_toolchain(cc, target)
    for source in sources:
        toolchain.compile_cached(source, [runtime, *folders, kernels])
    return f"{len(sources)} file{'s' if len(sources) > 1 else ''} compiled with {toolchain.identity}"


def _boot(target: Target, cc: str) -> str:
    program = build_program(lower_graph(_tiny_graph(), target.core), target, target_toolchain(cc, target))
    machine = UnicornEngine(guard_blocks=_PATIENCE_BLOCKS).boot(program.elf, target)
    try:
        session = open_session(MachineTransport(machine), program)
        hello = session.hello()
        if hello.clock_hz not in {round(1e6 * clock_mhz) for clock_mhz in target.clock_mhz}:
            raise AssetError(
                f"clock_mhz: board_clock_hz() of the firmware says {hello.clock_hz / 1e6:g} MHz, "
                f"the target file {', '.join(f'{clock_mhz:g}' for clock_mhz in target.clock_mhz)}",
                hint="the two must agree: latency is cycles over the clock of the file",
            )
        pairs = check_golden_outputs(session, program)
    finally:
        machine.close()
    return f"boots, answers HELLO at {hello.clock_hz / 1e6:g} MHz, {pairs} golden outputs equal"


def _tiny_graph() -> Graph:
    """One dense int8 layer: something to build, to run and to compare."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (3, 8), dtype=np.int8)
    bias = rng.integers(-99, 100, 3).astype(np.int32)
    tensors = (
        Tensor("input", (1, 8), "int8", Quantization((0.05,), (3,))),
        Tensor("weights", (3, 8), "int8", Quantization((0.01,), (0,)), weights),
        Tensor("bias", (3,), "int32", Quantization((0.0005,), (0,)), bias),
        Tensor("output", (1, 3), "int8", Quantization((0.1,), (-4,))),
    )
    dense = Operator("FULLY_CONNECTED", (0, 1, 2), (3,), {"activation": "none"})
    return Graph("lint", tensors, (dense,), (0,), (3,))
