"""The records of a run, finished or running, put side by side: one entry a point, and which of them form the front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError

from crest import pareto
from crest.ledger.records import (
    FinishedRecord,
    HeaderRecord,
    MemberRecord,
    PointKey,
    Record,
    RejectedRecord,
    TrialRecord,
)
from crest.measurement import Estimate, Measurement
from crest.report.format import ABSENT
from crest.study import Policy

Status = Literal["front", "dominated", "infeasible", "rejected", "failed"]


@dataclass(frozen=True)
class Entry:
    """One trial at one clock, with what its rebuilding as a member of the front added."""

    trial: TrialRecord
    member: MemberRecord | None
    rejected: RejectedRecord | None
    status: Status

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    @property
    def clock_text(self) -> str:
        """The clock of the core, for people; a dash without a price."""
        clock_mhz = self.trial.key.clock_mhz
        return ABSENT if clock_mhz is None else f"{clock_mhz:g} MHz"

    @property
    def measurement(self) -> Measurement | None:
        """Final price where there is one, else the price the search saw."""
        return self.member.measurement if self.member else self.trial.price

    @property
    def reason(self) -> str | None:
        """Why it was refused."""
        return self.rejected.reason if self.rejected else self.trial.reason

    @property
    def violations(self) -> dict[str, float]:
        """Violated constraints, by how much relative to their limits; those of the final price where there is one."""
        judged = self.member.violations if self.member else self.trial.violations
        return {name: beyond for name, beyond in judged.items() if beyond > 0}

    @property
    def candidate(self) -> dict[str, str]:
        """Choices of the search space, nested ones by dotted name."""
        return {name: _choice_text(value) for name, value in flatten(self.trial.candidate).items()}

    def value(self, metric: str) -> float | None:
        """A metric by name: objectives, derived and error metrics as recorded, else from the price."""
        sources: list[Mapping[str, float]] = [self.trial.objectives, self.trial.derived, self.trial.metrics]
        if self.member:
            sources = [self.member.objectives, self.member.derived, self.member.metrics, *sources]
        if self.measurement:
            sources.append(self.measurement.metrics())
        sources.append(self.trial.proxies)
        return next((source[metric] for source in sources if metric in source), None)

    def estimate(self, metric: str) -> Estimate | None:
        """The metric with its interval, where the price holds one."""
        found = getattr(self.measurement, metric, None)
        return found if isinstance(found, Estimate) else None


@dataclass(frozen=True)
class RunView:
    """A run as reports show it; ``entries`` by trial number.

    A trial of several clocks has an entry for the one that the policy prefers, and for every other that is feasible.
    """

    header: HeaderRecord | None
    entries: tuple[Entry, ...]
    finished: FinishedRecord | None
    policy: Policy | None

    @property
    def objectives(self) -> tuple[str, ...]:
        """Metrics that the front is about; empty where none is known."""
        return self.policy.objectives if self.policy else ()

    @property
    def derived(self) -> tuple[str, ...]:
        """Metrics of the policy's own."""
        return tuple(self.policy.derived) if self.policy else ()

    @property
    def front(self) -> tuple[Entry, ...]:
        """Members of the front, best first objective first."""
        members = [entry for entry in self.entries if entry.status == "front"]
        return tuple(sorted(members, key=lambda entry: [self._loss(entry, name) for name in self.objectives]))

    def is_maximized(self, metric: str) -> bool:
        """Whether more of a metric is better by the policy; what is no objective is taken for a cost."""
        return self.policy is not None and self.policy.losses({metric: 1.0}).get(metric, 1.0) < 0

    def _loss(self, entry: Entry, name: str) -> float:
        value = entry.value(name)
        return float("inf") if value is None else -value if self.is_maximized(name) else value

    @property
    def counts(self) -> Counter[str]:
        """Trials by status, that of the best of their points."""
        best = {entry.number: entry.status for entry in sorted(self.entries, key=_rank, reverse=True)}
        return Counter(best.values())


def view_run(records: Sequence[Record]) -> RunView:
    """Join records by trial; of two records of one trial the later one counts.

    The front of a finished run is the recorded one; that of a running one is computed over what is complete.
    """
    header = next((record for record in records if isinstance(record, HeaderRecord)), None)
    finished = next((record for record in reversed(records) if isinstance(record, FinishedRecord)), None)
    trials = {record.number: record for record in records if isinstance(record, TrialRecord)}
    members = {record.key: record for record in records if isinstance(record, MemberRecord)}
    rejected = {record.number: record for record in records if isinstance(record, RejectedRecord)}
    points = [point for _, trial in sorted(trials.items()) for point in _shown(trial, members, rejected)]
    policy = _policy(header, trials.values())
    feasible = {
        point.key: members[point.key].objectives if point.key in members else point.objectives
        for point in points
        if point.state == "complete" and point.number not in rejected and not _violated(members.get(point.key, point))
    }
    front = _front_of(feasible, policy) if policy else set()
    entries = []
    for point in points:
        member, refusal = members.get(point.key), rejected.get(point.number)
        on_front = finished.holds(point.key) if finished else point.key in front
        entries.append(Entry(point, member, refusal, _status(point, member, refusal, on_front)))
    return RunView(header, tuple(entries), finished, policy)


def _shown(trial: TrialRecord, members: Mapping[PointKey, MemberRecord], rejected: Container[int]) -> list[TrialRecord]:
    """The preferred point of a trial, and what is feasible of the others; a rejected trial is shown once."""
    first, *others = trial.points
    feasible = [p for p in others if p.state == "complete" and not _violated(members.get(p.key, p))]
    return [first, *([] if trial.number in rejected else feasible)]


def _front_of(points: Mapping[PointKey, Mapping[str, float]], policy: Policy) -> set[PointKey]:
    """Keys of the non-dominated points; those that lack an objective take no part."""
    keys = [key for key, values in points.items() if set(policy.objectives) <= values.keys()]
    rows = [tuple(policy.losses(points[key]).values()) for key in keys]
    return {keys[index] for index in pareto.front(rows, [key.number for key in keys])}


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            flat.update(flatten(item, f"{name}."))
        else:
            flat[name] = item
    return flat


def _policy(header: HeaderRecord | None, trials: Iterable[TrialRecord]) -> Policy | None:
    """The policy of the header; without one that can be read, the recorded objectives are minimized."""
    with suppress(ValidationError):
        return Policy.model_validate(header.study.get("policy") if header else None)
    named = next((tuple(trial.objectives) for trial in trials if trial.objectives), ())
    return Policy(minimize=named) if named else None


def _status(trial: TrialRecord, member: MemberRecord | None, rejected: RejectedRecord | None, on_front: bool) -> Status:
    if trial.state != "complete":
        return trial.state
    if rejected:
        return "rejected"
    if _violated(member or trial):
        return "infeasible"
    return "front" if on_front else "dominated"


def _rank(entry: Entry) -> int:
    return get_args(Status).index(entry.status)


def _violated(judged: TrialRecord | MemberRecord) -> bool:
    return any(value > 0 for value in judged.violations.values())


def _choice_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(_choice_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
