"""Prices a recorded run again with today's cycle and energy models: nothing is built, run or trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from crest.errors import LedgerError
from crest.ledger import (
    LEDGER_NAME,
    FinishedRecord,
    Ledger,
    MemberRecord,
    PointKey,
    Record,
    RejectedRecord,
    TrialRecord,
    read_run,
)
from crest.measurement import Measurement
from crest.pricing import Execution, price
from crest.search import policy as scoring
from crest.search.derived import derive
from crest.search.evaluate import keep_execution, stored_execution
from crest.search.points import as_one, finished_record
from crest.search.setup import Setup, set_up
from crest.study import parse_study


def reprice(run_folder: Path, output: Path) -> FinishedRecord:
    """Write a copy of a run whose prices, violations and front are those of today's models.

    The front is that of the members, which were verified on the backend. What was refused by its price stays refused,
    for it was not verified; its reason says when it would be feasible now.

    Args:
        run_folder: a finished run.
        output: folder of the repriced run; must not hold a ledger.

    Returns:
        The last record, with the front by today's models.

    Raises:
        LedgerError: the run is not finished, ``output`` holds a run already, or an execution of the run is gone.
    """
    header, records = read_run(run_folder)
    if not isinstance(records[-1], FinishedRecord):
        raise LedgerError(f"{run_folder}: this run is not finished", hint=f"crest resume {run_folder}")
    if (output / LEDGER_NAME).exists():
        raise LedgerError(f"{output}: holds a run already", hint="choose another folder with --output")
    setup = set_up(parse_study(header.study, source=str(run_folder), folder=Path(header.study_folder)))
    repricer = _Repricer(setup, run_folder, output)
    repriced = [repricer.record(record) for record in records[1:-1]]
    rejected = {record.number for record in repriced if isinstance(record, RejectedRecord)}
    members = [record for record in repriced if isinstance(record, MemberRecord) and record.number not in rejected]
    front, reason = scoring.front_of(setup.study.policy, members), f"repriced: {records[-1].reason}"
    finished = finished_record(setup.study, records[-1].trials, front, reason)
    # Nothing is written before everything is known: half a ledger would pass for an interrupted search.
    with Ledger(output / LEDGER_NAME) as ledger:
        began = {"sampler": header.sampler, "warm_start": header.warm_start}
        ledger.begin(setup.plan().header().model_copy(update=began))
        for record in (*repriced, finished):
            ledger.append(record)
    for execution in repricer.executions.values():
        keep_execution(output, execution)
    return finished


class _Repricer:
    def __init__(self, setup: Setup, run_folder: Path, output: Path) -> None:
        self._setup = setup
        self._run_folder = run_folder
        self._output = output
        self._points: dict[PointKey, TrialRecord] = {}
        self.executions: dict[str, Execution] = {}

    def record(self, record: Record) -> Record:
        """A record at today's prices."""
        if isinstance(record, TrialRecord):
            points = [self._point(point) for point in record.points]
            self._points |= {point.key: point for point in points}
            return as_one(points, self._setup.study.policy)
        if isinstance(record, MemberRecord):
            return self._member(record, self._points[record.key])
        assert isinstance(record, RejectedRecord)
        return record

    def _point(self, record: TrialRecord) -> TrialRecord:
        model = record.model and self._elsewhere(record.model)
        if record.price is None or record.profile_key is None:
            return record.model_copy(update={"model": model})
        measurement = self._price(record.profile_key, record)
        policy = self._setup.study.policy
        recorded = {**record.metrics, **record.proxies, **measurement.metrics()}
        derived = derive(policy, recorded).values
        metrics = {**recorded, **derived}
        changes: dict[str, Any] = {"price": measurement, "model": model, "derived": derived}
        if record.state == "complete":
            changes |= scoring.scores(policy, recorded, measurement)
            changes["reason"] = scoring.describe_violations(policy.subject_to, metrics, measurement)
        elif record.state == "infeasible":
            # What has no value by today's models judges nobody.
            constraints = [item for item in scoring.cost_constraints(policy) if item.metric in metrics]
            broken = scoring.describe_violations(constraints, metrics, measurement)
            changes["reason"] = (
                broken or "keeps the constraints on cost by today's models, but was refused by those of the run"
            )
            changes["violations"] = scoring.violations(constraints, metrics, measurement)
        return record.model_copy(update=changes)

    def _member(self, record: MemberRecord, trial: TrialRecord) -> MemberRecord:
        measurement = self._price(record.profile_key, trial)
        metrics = {**record.metrics, **trial.proxies, **measurement.metrics()}
        return record.model_copy(
            update={
                "measurement": measurement,
                "price_difference_pct": scoring.price_difference_pct(trial, measurement),
                "files": {name: self._elsewhere(path) for name, path in record.files.items()},
                **scoring.scores(self._setup.study.policy, metrics, measurement),
            }
        )

    def _price(self, key: str, trial: TrialRecord) -> Measurement:
        if key not in self.executions:
            self.executions[key] = stored_execution(self._run_folder, key)
        return price(self.executions[key], self._setup.conditions(trial.quantization, trial.key.clock_mhz))

    def _elsewhere(self, path: str) -> str:
        """A path of the run, as seen from the folder of the repriced one."""
        return Path(os.path.relpath(self._run_folder / path, self._output)).as_posix()
