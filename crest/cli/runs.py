"""Commands about run folders: show, report, reprice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crest.cli.console import results
from crest.energy import load_power
from crest.errors import StudyError
from crest.ledger import MemberRecord, TrialRecord, read_run
from crest.report import front_table, measurement_table, write_report
from crest.study import parse_study
from crest.targets import load_target

RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(show)
    app.command()(report)
    app.command("reprice")(reprice_run)


def show(
    run: RunFolder,
    trial: Annotated[int | None, typer.Option(help="Show what one trial costs instead of the front.")] = None,
    clock_mhz: Annotated[
        float | None, typer.Option("--clock-mhz", help="At which clock; by default the one that the policy prefers.")
    ] = None,
) -> None:
    """Print the front of a run, finished or not, or the price of one trial.

    Example:  crest show runs/quickstart --trial 3
    """
    _, records = read_run(run)
    if trial is None and clock_mhz is not None:
        raise typer.BadParameter("only --trial needs it", param_hint="--clock-mhz")
    if trial is None:
        results.print(front_table(records))
        return
    points = [point for r in records if isinstance(r, TrialRecord) and r.number == trial for point in r.points]
    if not points:
        raise StudyError(f"{run}: has no trial {trial}")
    prices = {point.key.clock_mhz: point.price for point in points if point.price is not None}
    prices |= {r.key.clock_mhz: r.measurement for r in records if isinstance(r, MemberRecord) and r.number == trial}
    if not prices:
        raise StudyError(f"{run}: trial {trial} has no price", hint="`crest report` lists why")
    if clock_mhz is not None and clock_mhz not in prices:
        known = ", ".join(f"{clock:g}" for clock in prices)
        raise StudyError(f"{run}: trial {trial} has no price at {clock_mhz:g} MHz", hint=f"it has one at {known} MHz")
    results.print(measurement_table(prices[clock_mhz] if clock_mhz is not None else next(iter(prices.values()))))


def report(run: RunFolder) -> None:
    """Write front.csv, front.json, front.png and report.html of a run again.

    Example:  crest report runs/quickstart
    """
    _write(run)


def reprice_run(
    run: RunFolder,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; <run>-repriced by default.")] = None,
) -> None:
    """Price the trials of a run again with today's cycle and energy models; nothing is built or trained.

    Example:  crest reprice runs/quickstart
    """
    from crest.search.reprice import reprice

    folder = output or run.with_name(f"{run.name}-repriced")
    reprice(run, folder)
    _write(folder)


def _write(run: Path) -> None:
    header, records = read_run(run)
    study = parse_study(header.study, source=str(run), folder=Path(header.study_folder))
    target = load_target(study.target).at(study.clocks_mhz[0])
    power = load_power(target, max(target.clock_mhz))
    files = write_report(run, records, supply_volt=power.states.volt)
    results.print(front_table(records))
    results.print("\n".join(str(path) for path in files.values()), highlight=False, markup=False, soft_wrap=True)
