"""The `crest` command: all groups together, and errors as one message with a hint and an exit code."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from crest.cli import (
    calibrating,
    compiling,
    measuring,
    profiling,
    replaying,
    runs,
    scheduling,
    searching,
    setup,
    studying,
    targets,
)
from crest.cli.console import errors
from crest.errors import CrestError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Search for the neural network that a microcontroller can really live with.",
    epilog="Start with:  crest search examples/quickstart.yaml",
)
_GROUPS = (
    searching,
    runs,
    replaying,
    measuring,
    scheduling,
    compiling,
    profiling,
    targets,
    calibrating,
    studying,
    setup,
)
for module in _GROUPS:
    module.register(app)


def main() -> None:
    """Entry point; every error that CREST raises on purpose ends in its own exit code."""
    try:
        app()
    except CrestError as exc:
        errors.print(f"[bold red]error:[/] {escape(exc.message)}", highlight=False)
        if exc.hint:
            errors.print(f"[bold]hint:[/] {escape(exc.hint)}", highlight=False)
        sys.exit(exc.exit_code)
