"""Commands about study files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crest.cli.console import results, write_output
from crest.study import study_schema


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(schema)


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of printing.")
    ] = None,
) -> None:
    """Print the JSON Schema of a study file, from which editors complete.

    Name it in the first line of a study:  # yaml-language-server: $schema=crest.schema.json

    Example:  crest schema -o crest.schema.json
    """
    text = json.dumps(study_schema(), indent=2)
    if output is None:
        results.out(text, highlight=False)
    else:
        write_output(output, text + "\n")
