"""Prices a recorded run again with today's cycle and energy models: nothing is built, run or trained."""

from __future__ import annotations

import os
from pathlib import Path

from crest.errors import LedgerError
from crest.ledger import (
    LEDGER_NAME,
    FinishedRecord,
    HeaderRecord,
    Ledger,
    MemberRecord,
    Record,
    TrialRecord,
    read_ledger,
)
from crest.measurement import Measurement
from crest.pricing import price
from crest.search import policy as scoring
from crest.search.evaluate import keep_execution, stored_execution
from crest.search.setup import Setup, set_up
from crest.search.stamp import stamp
from crest.study import parse_study


def reprice(run_folder: Path, output: Path) -> FinishedRecord:
    """Write a copy of a run whose prices, violations and front are those of today's models.

    A trial that was refused before training stays refused: it has no error to be on a front with. Its reason says when
    it would be feasible now.

    Args:
        run_folder: a run, finished or not.
        output: folder of the repriced run; must not hold a ledger.

    Returns:
        The last record, with the front by today's models.

    Raises:
        LedgerError: ``output`` holds a run already, or an execution of the run is gone.
    """
    records = read_ledger(run_folder / LEDGER_NAME)
    header = records[0]
    if not isinstance(header, HeaderRecord):
        raise LedgerError(f"{run_folder}: the ledger does not begin with a header")
    if (output / LEDGER_NAME).exists():
        raise LedgerError(f"{output}: holds a run already", hint="choose another folder with --output")
    setup = set_up(parse_study(header.study, source=str(run_folder), folder=Path(header.study_folder)))
    repricer = _Repricer(setup, run_folder, output)
    with Ledger(output / LEDGER_NAME) as ledger:
        ledger.begin(setup.plan().header())
        trials = [ledger.append(repricer.trial(record)) for record in records if isinstance(record, TrialRecord)]
        by_number = {trial.number: trial for trial in trials}
        members: dict[int, MemberRecord] = {}
        for record in records:
            if isinstance(record, MemberRecord):
                repriced = repricer.member(record, by_number[record.number])
                members[record.number] = ledger.append(repriced)
        front = scoring.front_of([members.get(trial.number, trial) for trial in trials])
        reason = f"repriced from {run_folder.name}: {_last_reason(records)}"
        return ledger.append(FinishedRecord(trials=len(trials), front=front, reason=reason, **stamp()))


class _Repricer:
    def __init__(self, setup: Setup, run_folder: Path, output: Path) -> None:
        self._setup = setup
        self._run_folder = run_folder
        self._output = output

    def trial(self, record: TrialRecord) -> TrialRecord:
        """The trial at today's price."""
        if record.price is None or record.profile_key is None:
            return record
        policy = self._setup.study.policy
        measurement = self._price(record.profile_key, record.quantization)
        metrics = {**record.metrics, **record.proxies, **measurement.metrics()}
        if record.state == "complete":
            changes = {
                "reason": scoring.describe_violations(policy.subject_to, metrics),
                "objectives": scoring.objectives(policy, metrics),
                "violations": scoring.violations(policy.subject_to, metrics),
            }
        else:
            constraints = scoring.cost_constraints(policy)
            broken = scoring.describe_violations(constraints, metrics)
            if measurement.deadline_missed:
                broken = f"misses the deadline of its schedule ({measurement.schedule})"
            changes = {
                "reason": broken or "keeps the constraints on cost by today's models, but was not trained",
                "violations": scoring.violations(constraints, metrics),
            }
        return record.model_copy(update={"price": measurement, **changes})

    def member(self, record: MemberRecord, trial: TrialRecord) -> MemberRecord:
        """The member at today's price."""
        policy = self._setup.study.policy
        measurement = self._price(record.profile_key, trial.quantization)
        metrics = {**record.metrics, **trial.proxies, **measurement.metrics()}
        return record.model_copy(
            update={
                "measurement": measurement,
                "objectives": scoring.objectives(policy, metrics),
                "violations": scoring.violations(policy.subject_to, metrics),
                "price_difference_pct": scoring.price_difference_pct(trial, measurement),
                "files": {
                    name: os.path.relpath(self._run_folder / path, self._output) for name, path in record.files.items()
                },
            }
        )

    def _price(self, key: str, quantization: str) -> Measurement:
        execution = stored_execution(self._run_folder, key)
        keep_execution(self._output, execution)
        return price(execution, self._setup.conditions(quantization))


def _last_reason(records: list[Record]) -> str:
    return next((record.reason for record in records if isinstance(record, FinishedRecord)), "unfinished")
