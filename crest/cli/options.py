"""Options that several commands share."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import CompilerChoice
from crest.errors import ModelError
from crest.pricing import BuildOptions

Model = Annotated[Path, typer.Argument(help="A .tflite file.", show_default=False)]
TargetOption = Annotated[
    str, typer.Option("--target", "-t", help="A board by name, or a .yaml of yours.", show_default=False)
]


CompilerOption = Annotated[
    str, typer.Option("--toolchain", help="Compiler: zig, gcc, or the command of your GCC for Arm.")
]
FlagsOption = Annotated[
    str, typer.Option("--cflags", help="Flags of yours for the compiler, behind CREST's own: --cflags='-O3 -Wall'.")
]


class LoweringOption(StrEnum):
    """Ways from a model to firmware."""

    optimized = "optimized"
    plain = "plain"


LoweringChoice = Annotated[
    LoweringOption,
    typer.Option("--lowering", help="With the compiler's graph passes, or one kernel for each operator as exported."),
]


def build_options(toolchain: str, cflags: str, lowering: LoweringOption) -> BuildOptions:
    """What the three options say."""
    try:
        flags = tuple(shlex.split(cflags))
    except ValueError as exc:
        raise typer.BadParameter(f"{cflags!r}: {exc}", param_hint="--cflags") from exc
    return BuildOptions(CompilerChoice(toolchain, flags), lowering.value)


def read_model(path: Path) -> Graph:
    """Import a .tflite from a file.

    Raises:
        ModelError: the file cannot be read, or is no model that the compiler knows.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    return import_tflite(data, path.name)
