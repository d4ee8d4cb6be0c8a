"""What a search looks like while it runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from crest.cli.console import errors
from crest.ledger import PointKey, RejectedRecord, TrialRecord
from crest.measurement import Estimate
from crest.report.format import format_estimate, format_value, title_of
from crest.search.events import (
    EpochEnded,
    Event,
    FrontChanged,
    MemberFinished,
    MemberStarted,
    RunFinished,
    RunStarted,
    TrialFinished,
    TrialPriced,
    TrialStarted,
)


class SearchDisplay:
    """Shows events of a search; a context manager."""

    def __init__(self, trials: int) -> None:
        self._progress = Progress(
            TextColumn("trained"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=errors,
        )  # fmt: skip
        self._task = self._progress.add_task("trained", total=trials)
        self._points: dict[PointKey, TrialRecord] = {}
        self._front: tuple[PointKey, ...] = ()
        self._doing: dict[int, str] = {}
        self._refused = 0
        self._live = (
            Live(self._view(), console=errors, refresh_per_second=4, transient=True) if errors.is_terminal else None
        )

    def __enter__(self) -> SearchDisplay:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def on_event(self, event: Event) -> None:
        """Take note of an event and show it."""
        line = self._note(event)
        if self._live:
            self._live.update(self._view())
        elif line:
            errors.print(f"{time.strftime('%H:%M:%S')} {line}", highlight=False, markup=False)

    def _note(self, event: Event) -> str | None:
        """Update the state; returns a line for plain output where the event deserves one."""
        match event:
            case RunStarted():
                return self._note_start(event)
            case TrialStarted(number=number):
                self._doing[number] = "building and running its firmware"
            case TrialPriced(number=number):
                self._doing[number] = "training"
            case EpochEnded(number=number, epoch=epoch, validation_loss=loss):
                self._doing[number] = f"training, epoch {epoch}, validation loss {loss:.4g}"
            case TrialFinished(record=record):
                return self._note_trial(record)
            case FrontChanged(front=front):
                self._front = front
                return f"front: trials {', '.join(f'{point.number} at {point.clock_mhz:g} MHz' for point in front)}"
            case MemberStarted(number=number):
                self._doing[number] = "rebuilding with its trained weights, verifying on the backend"
            case MemberFinished(record=record):
                self._doing.pop(record.number, None)
                if isinstance(record, RejectedRecord):
                    return f"front member {record.number} rejected: {record.reason}"
                return f"front member {record.number} verified at {record.measurement.clock_mhz:g} MHz"
            case RunFinished(record=finished):
                return f"finished after {finished.trials} trials: {finished.reason}"
        return None

    def _note_start(self, event: RunStarted) -> str:
        for name, (then, now) in event.changed_versions.items():
            errors.print(f"note: {name} was {then} when this run began and is {now} now", highlight=False)
        if event.sampler:
            errors.print(f"sampler: {event.sampler.name} ({event.sampler.reason})", highlight=False, markup=False)
        for earlier in event.warm_start:
            without = "".join(f"; {count} {why}" for why, count in sorted(earlier.left_out.items()))
            line = f"warm start from {earlier.run}: {earlier.told} trials told{without}"
            errors.print(line, highlight=False, markup=False)
        return f"resumed after {event.recorded_trials} trials" if event.recorded_trials else f"run {event.run} started"

    def _note_trial(self, record: TrialRecord) -> str:
        self._doing.pop(record.number, None)
        self._points |= {point.key: point for point in record.points}
        if record.state == "complete":
            self._progress.advance(self._task)
            scores = ", ".join(f"{title_of(name)} {_score(record, name)}" for name in record.objectives)
            return f"trial {record.number} at {record.key.clock_mhz:g} MHz: {scores}"
        self._refused += 1
        return f"trial {record.number}: {record.state}: {record.reason}"

    def _view(self) -> Group:
        table = Table(title="front so far")
        members = [self._points[point] for point in self._front if point in self._points]
        table.add_column("trial", justify="right")
        table.add_column("clock", justify="right")
        for name in members[0].objectives if members else ():
            table.add_column(title_of(name), justify="right")
        for member in members:
            clock = f"{member.key.clock_mhz:g} MHz"
            table.add_row(str(member.number), clock, *(_score(member, name) for name in member.objectives))
        doing = [Text(f"trial {number}: {what}", style="dim") for number, what in sorted(self._doing.items())]
        refused = Text(f"{self._refused} candidates refused before training or failed", style="dim")
        return Group(table, *doing, refused, self._progress)


def _score(record: TrialRecord, name: str) -> str:
    """An objective, with its interval where the price has one."""
    estimate = getattr(record.price, name, None)
    if isinstance(estimate, Estimate):
        return format_estimate(name, estimate)
    return format_value(name, record.objectives[name])
