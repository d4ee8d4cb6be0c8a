"""`crest setup`: programs that CREST drives and does not bring along."""

from __future__ import annotations

from typing import Annotated

import typer

from crest.cli.console import results
from crest.emulators.renode.install import install, plan_installation
from crest.emulators.renode.program import find_program
from crest.errors import EmulationError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Install programs that CREST drives and does not bring along.")
    group.command("renode")(setup_renode)
    app.add_typer(group, name="setup")


def setup_renode(
    version: Annotated[str, typer.Option(help="Version for renode-run to download.")] = "latest",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Install Renode with renode-run, after saying what will be done and where.

    Example:  crest setup renode
    """
    try:
        found = find_program()
    except EmulationError:
        found = None
    if found is not None:
        results.print(f"Renode {found.version} is installed: {found.path}", highlight=False)
        return
    plan = plan_installation(version)
    results.print(f"This will run: {' '.join(plan.command)}", highlight=False, soft_wrap=True)
    results.print(
        f"renode-run downloads Renode from its project's build server into {plan.folder} "
        f"and remembers it in {plan.folder.parent / 'renode-run.json'}.",
        highlight=False,
        soft_wrap=True,
    )
    if not yes:
        typer.confirm("Go on?", abort=True)
    program = install(plan)
    results.print(f"Renode {program.version}: {program.path}", highlight=False, soft_wrap=True)
