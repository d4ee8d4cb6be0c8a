"""`crest compile`: a .tflite becomes a C project, and an ELF on request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crest.backends.emulated import EmulatedBackend
from crest.cli.console import results
from crest.cli.options import (
    ClockOption,
    CompilerOption,
    FlagsOption,
    LoweringChoice,
    LoweringOption,
    Model,
    PlacementOption,
    TargetOption,
    build_options,
    read_model,
)
from crest.compiler.project import write_c_project
from crest.errors import OutputError
from crest.pricing import Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("compile")(compile_model)


def compile_model(
    model: Model,
    target: TargetOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the C project.")] = Path("out"),
    elf: Annotated[bool, typer.Option("--elf", help="Also write the measuring firmware, firmware.elf.")] = False,
    clock_mhz: ClockOption = None,
    toolchain: CompilerOption = "zig",
    cflags: FlagsOption = "",
    lowering: LoweringChoice = LoweringOption.optimized,
    placement: PlacementOption = "",
) -> None:
    """Turn a .tflite into a self-contained C project.

    Example:  crest compile model.tflite --target nano33ble -o out/
    """
    board = load_target(target).at(clock_mhz)
    conditions = Conditions(board, Continuous(), Reserve(), max(board.clock_mhz))
    pricing = Pricing(conditions, EmulatedBackend(), build_options(toolchain, cflags, lowering, placement))
    program = pricing.build(read_model(model))
    try:
        write_c_project(program, pricing.toolchain, output)
        if elf:
            (output / "firmware.elf").write_bytes(program.elf)
    except OSError as exc:
        raise OutputError(f"{output}: cannot be written: {exc.strerror}") from exc
    results.print(
        f"C project in {output}: weights {program.memory.weights_bytes} B, code {program.memory.code_bytes} B, "
        f"arena {program.memory.arena_bytes} B, stack {program.memory.stack_bytes} B",
        markup=False,
    )
    for record in program.removed:
        for text in record.removed:
            results.print(f"  {record.name}: {text}", highlight=False, markup=False)
    if elf:
        results.print(f"measuring firmware in {output / 'firmware.elf'}, SHA-256 {program.elf_sha256}", markup=False)
