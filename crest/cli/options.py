"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.errors import ModelError

Model = Annotated[Path, typer.Argument(help="A .tflite file.", show_default=False)]
TargetOption = Annotated[
    str, typer.Option("--target", "-t", help="A board by name, or a .yaml of yours.", show_default=False)
]


class ToolchainOption(StrEnum):
    """Compilers by name."""

    zig = "zig"
    gcc = "gcc"


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
