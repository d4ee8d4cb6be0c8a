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


class RuntimeOption(StrEnum):
    """What runs the model."""

    crest = "crest"
    tflm = "tflm"


RuntimeSelection = Annotated[
    RuntimeOption,
    typer.Option("--runtime", help="CREST's own code, or TFLite Micro with CMSIS-NN from sources of yours."),
]
TreeOption = Annotated[
    Path | None,
    typer.Option("--tflm-tree", help="TFLite Micro's sources; $CREST_TFLM by default.", show_default=False),
]


def build_options(
    toolchain: str,
    cflags: str,
    lowering: LoweringOption,
    runtime: RuntimeOption = RuntimeOption.crest,
    tflm_tree: Path | None = None,
) -> BuildOptions:
    """What the options say."""
    try:
        flags = tuple(shlex.split(cflags))
    except ValueError as exc:
        raise typer.BadParameter(f"{cflags!r}: {exc}", param_hint="--cflags") from exc
    if runtime is RuntimeOption.crest and tflm_tree is not None:
        raise typer.BadParameter("only --runtime tflm needs it", param_hint="--tflm-tree")
    tree = None if runtime is RuntimeOption.crest else str(tflm_tree or "")
    return BuildOptions(CompilerChoice(toolchain, flags), lowering.value, tree)


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
