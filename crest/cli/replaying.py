"""`crest replay`: the networks of a run on other boards, schedules and policies; nothing is trained."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crest.cli.console import errors, results, write_output
from crest.cli.options import (
    SamplingPowerOption,
    SamplingTimeOption,
    ScheduleOption,
    SleepOption,
    WakeMarginOption,
    schedule_of,
)
from crest.errors import StudyError
from crest.replay import (
    BackendPricer,
    Choices,
    Comparison,
    Progress,
    Source,
    changed_policy,
    compare,
    plan_replay,
    read_source,
    recorded_schedule,
    replay_csv,
    replay_json,
    replay_tables,
    run_replay,
)
from crest.replay.run import OnProgress
from crest.report.format import format_estimate, title_of
from crest.schedule import Cadenced, Schedule
from crest.study import Policy
from crest.yaml_io import load_yaml, validate

_SHOWN = ("latency_ms", "energy_per_window_uj")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(replay)


def replay(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="A board by name, or a .yaml of yours; once for each. By default its own."),
    ] = None,
    clock_mhz: Annotated[
        list[float] | None,
        typer.Option(
            "--clock-mhz",
            help="Clock of every board; several give each at all of them. By default "
            "the fastest, and those of the study on its own board.",
        ),
    ] = None,
    schedule: Annotated[ScheduleOption | None, typer.Option(help="By default that of the run.")] = None,
    period_ms: Annotated[
        float | None,
        typer.Option(min=0.001, max=1e9, help="Period of --schedule cadenced; by default that of the run."),
    ] = None,
    sleep: Annotated[SleepOption, typer.Option(help="State between two inferences, with --schedule.")] = (
        SleepOption.deep
    ),
    wake_margin_ms: WakeMarginOption = 0.0,
    sampling_power_uw: SamplingPowerOption = 0.0,
    sampling_ms: SamplingTimeOption = None,
    minimize: Annotated[str, typer.Option(help="Objectives, with commas between; by default those of the run.")] = "",
    subject_to: Annotated[
        list[str] | None, typer.Option(help="A constraint, once for each; in the place of all of the run's.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Both from a YAML file, written like the policy of a study.")
    ] = None,
    all_trials: Annotated[
        bool, typer.Option("--all-trials", help="Every trained network, not the front alone.")
    ] = False,
    metric: Annotated[
        str | None, typer.Option(help="What boards are compared by; by default the first objective that is a cost.")
    ] = None,
    name: Annotated[str, typer.Option(help="Folder of this replay in <run>/replays.")] = "default",
) -> None:
    """Build and run the networks of a run again, on other boards, schedules and policies; nothing is trained.

    What one command did is not done again by the next, or after an interruption: another policy is arithmetic alone.

    Examples:
      crest replay runs/quickstart --target nucleo-l4r5zi --target nucleo-g0b1re

      crest replay runs/quickstart --schedule cadenced --period-ms 50 --subject-to 'latency_ms <= 20'
    """
    folder = _folder(run, name)
    source = read_source(run, all_trials=all_trials)
    timing = (wake_margin_ms, sampling_power_uw, sampling_ms)
    choices = Choices(
        targets=target or (),
        clocks_mhz=clock_mhz or (),
        schedule=_schedule(source, schedule, period_ms, sleep, timing),
        policy=_policy(source.study.policy, minimize, subject_to or [], policy),
        metric=metric,
    )
    plan = plan_replay(source, choices)
    if source.left_out:
        errors.print(f"left out, for their model files are gone: trials {', '.join(map(str, source.left_out))}")
    try:
        with _progress() as tell:
            records = run_replay(plan, folder, BackendPricer(plan, folder), tell)
    except KeyboardInterrupt:
        errors.print("interrupted; nothing recorded is lost: run the same command again", markup=False)
        raise typer.Exit(130) from None
    _write(compare(plan, records), folder)


def _folder(run: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise typer.BadParameter(f"{name!r}: letters, digits, dots, hyphens and underscores", param_hint="--name")
    return run / "replays" / name


def _schedule(
    source: Source,
    name: ScheduleOption | None,
    period_ms: float | None,
    sleep: SleepOption,
    timing: tuple[float, float, float | None],
) -> Schedule | None:
    """What the options say; None keeps the schedule of the run."""
    if name is None:
        if period_ms is not None or sleep is not SleepOption.deep or timing != (0.0, 0.0, None):
            raise StudyError("the run's own schedule is kept as it is", hint="--schedule cadenced changes it")
        return None
    if name is ScheduleOption.cadenced and period_ms is None:
        own = recorded_schedule(source.study)
        if not isinstance(own, Cadenced):
            raise StudyError("the run has no period of its own", hint="give one: --period-ms 200")
        period_ms = own.period_ms
    return schedule_of(name, period_ms or 0.0, sleep, *timing)


def _policy(own: Policy, minimize: str, subject_to: list[str], file: Path | None) -> Policy | None:
    """What the options say; None keeps the policy of the run."""
    if file is not None and (minimize or subject_to):
        raise typer.BadParameter("a policy has both already", param_hint="--policy")
    if file is not None:
        return validate(load_yaml(file, StudyError), Policy, str(file), StudyError)
    objectives = [word.strip() for word in minimize.split(",") if word.strip()]
    return changed_policy(own, objectives, subject_to) if objectives or subject_to else None


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A line for what is being priced on a terminal, and one for each result."""
    if not errors.is_terminal:
        yield _tell
        return
    with errors.status("starting") as status:

        def tell(event: Progress) -> None:
            status.update(f"{event.done} of {event.total}; {event.network.name} on {event.board.label}")
            _tell(event)

        yield tell


def _tell(event: Progress) -> None:
    record = event.record
    if record is None:
        return
    what, cost = record.reason, record.measurement
    if cost is not None:
        what = ", ".join(f"{title_of(name)} {format_estimate(name, getattr(cost, name))}" for name in _SHOWN)
    where = f"{event.done} of {event.total}: trial {record.number} on {event.board.label}"
    errors.print(f"{time.strftime('%H:%M:%S')} {where}: {what}", highlight=False, markup=False)


def _write(found: Comparison, folder: Path) -> None:
    """Tables on the terminal, and files beside the ledger."""
    results.print(replay_tables(found))
    for name, text in (("replay.csv", replay_csv(found)), ("replay.json", replay_json(found))):
        write_output(folder / name, text)
        results.print(str(folder / name), highlight=False, markup=False, soft_wrap=True)
