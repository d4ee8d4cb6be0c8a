"""`crest targets` lists the boards; `crest target new` and `crest target lint` bring up one of the user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crest.cli.console import results, write_output
from crest.cli.options import CompilerOption
from crest.errors import AssetError
from crest.report.targets import summarise, target_table, targets_table
from crest.targets import load_target, target_names


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("targets")(list_targets)
    one = typer.Typer(no_args_is_help=True, help="Bring up a board of yours.")
    one.command("new")(new)
    one.command("lint")(lint)
    app.add_typer(one, name="target")


def list_targets(
    target: Annotated[str | None, typer.Argument(help="One board in full: its name, or a .yaml of yours.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write this as JSON.")] = None,
) -> None:
    """List the boards with core, clocks, memory, and the quality of their cycle and energy models.

    Example:  crest targets nano33ble
    """
    summaries = [summarise(load_target(name)) for name in ([target] if target else target_names())]
    if json_file is not None:
        document = [summary.model_dump(mode="json") for summary in summaries]
        write_output(json_file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    results.print(target_table(summaries[0]) if target else targets_table(summaries))


def new(
    name: Annotated[str, typer.Argument(help="Name of your target.", show_default=False)],
    origin: Annotated[str, typer.Option("--from", help="The target to start from: the nearest one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")] = Path(),
) -> None:
    """Start a target of yours: its file, every key explained, and its firmware folder beside it.

    Example:  crest target new my-board --from nano33ble
    """
    from crest.bringup import scaffold_target

    file, board = scaffold_target(name, origin, output)
    results.print(f"{file}: what the board is\n{board}: its start-up code", markup=False, soft_wrap=True)
    results.print(f"next: edit both, then  crest target lint {file}", markup=False, soft_wrap=True)


def lint(
    target: Annotated[str, typer.Argument(help="A target file of yours, or a board by name.", show_default=False)],
    toolchain: CompilerOption = "zig",
) -> None:
    """Check a target: its file, its models, and that its firmware boots and answers in the emulator.

    Example:  crest target lint my-board.yaml
    """
    from crest.bringup import lint_target

    failed = False
    for finding in lint_target(target, toolchain):
        failed |= not finding.passed
        mark = "[green]ok[/]  " if finding.passed else "[bold red]FAIL[/]"
        results.print(mark, f"{finding.check}:", end=" ", highlight=False)
        results.print(finding.text, markup=False, highlight=False, soft_wrap=True)
        if finding.hint:
            results.print(f"     hint: {finding.hint}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(AssetError.exit_code)
