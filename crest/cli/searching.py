"""`crest search` and `crest resume`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crest.cli.console import errors, results
from crest.cli.display import SearchDisplay
from crest.ledger import read_run
from crest.report import front_table, write_report
from crest.study import Study, load_study, parse_study


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(search)
    app.command()(resume)


def search(
    study_file: Annotated[Path, typer.Argument(help="A study.yaml.", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/<name> by default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed than the study's.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Another number of trained candidates.")] = None,
) -> None:
    """Search the trade-off of a study; continues where an interrupted run of it stopped.

    Example:  crest search examples/quickstart.yaml
    """
    study = load_study(study_file)
    changes = {key: value for key, value in (("seed", seed), ("trials", trials)) if value is not None}
    if changes:
        written = study.model_dump(mode="json")
        written["search"] |= changes
        study = parse_study(written, source="--seed, --trials", folder=study.folder)
    _run(study, output or Path("runs") / study.name)


def resume(run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]) -> None:
    """Continue an interrupted run; nothing that it recorded is repeated.

    Example:  crest resume runs/quickstart
    """
    header, _ = read_run(run)
    _run(parse_study(header.study, source=str(run), folder=Path(header.study_folder)), run)


def _run(study: Study, folder: Path) -> None:
    # These bring torch and scipy in; commands without a search start without them.
    from crest.search.evaluate import make_evaluators
    from crest.search.finish import StudyFinisher
    from crest.search.loop import run_search
    from crest.search.setup import set_up

    errors.print(f"study {study.name}: loading the workload, preparing the compiler", highlight=False)
    setup = set_up(study)
    plan = setup.plan()
    make = partial(make_evaluators, study.model_dump(mode="json"), study.folder, folder)
    try:
        with SearchDisplay(study.search.trials) as display:
            run_search(plan, folder, make, StudyFinisher(setup, folder), display.on_event)
    except KeyboardInterrupt:
        errors.print(f"interrupted; nothing recorded is lost: crest resume {folder}", markup=False)
        raise typer.Exit(130) from None
    _, records = read_run(folder)
    files = write_report(folder, records, supply_volt=setup.powers[0].states.volt)
    results.print(front_table(records))
    where = f"run folder: {folder}; open {files['report.html']}"
    results.print(where, highlight=False, markup=False, soft_wrap=True)
