"""The loop of a replay: every network on every board, each written down before the next; nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crest.errors import CapacityError, CrestError, LedgerError
from crest.ledger import (
    LEDGER_NAME,
    REPLAY_SCHEMA,
    Ledger,
    ReplayedRecord,
    ReplayHeaderRecord,
)
from crest.replay.plan import ReplayBoard, ReplayPlan
from crest.replay.pricer import NetworkPricer
from crest.replay.source import Network, Source
from crest.search.stamp import stamp
from crest.search.trial import CANDIDATE_ERRORS, describe_error


class Progress(NamedTuple):
    """A network of ``total`` on a board is about to be priced, or (``record``) is in the ledger."""

    done: int
    total: int
    network: Network
    board: ReplayBoard
    record: ReplayedRecord | None


OnProgress = Callable[[Progress], None]


def run_replay(
    plan: ReplayPlan, folder: Path, pricer: NetworkPricer, on_progress: OnProgress = lambda _: None
) -> tuple[tuple[ReplayedRecord, ...], ...]:
    """Price every network on every board; continues where an interrupted replay stopped.

    Args:
        plan: networks, boards and schedule.
        folder: folder of the replay, with a ledger of its own.
        pricer: what prices one network on one board.
        on_progress: told of everything that is not in the ledger already.

    Returns:
        For each board, in their order, a record of each network in theirs.

    Raises:
        LedgerError: the ledger is damaged or in use, or the run or a model file changed since the replay began.
        CrestError: anything that is not the fault of one network.
    """
    with Ledger(folder / LEDGER_NAME) as ledger:
        _begin(ledger, plan.source)
        recorded = {record.key: record for record in ledger.records if isinstance(record, ReplayedRecord)}
        # All boards and compilers are found before the first network is built.
        pairs = [(network, board) for network in plan.source.networks for board in plan.boards]
        keys = [pricer.key(network, board) for network, board in pairs]
        for index, ((network, board), key) in enumerate(zip(pairs, keys, strict=True)):
            if key not in recorded:
                on_progress(Progress(index, len(pairs), network, board, None))
                record = ledger.append(_replayed(network, board, key, plan, pricer))
                recorded[key] = record
                on_progress(Progress(index + 1, len(pairs), network, board, record))
    each = [recorded[key] for key in keys]
    return tuple(tuple(each[first :: len(plan.boards)]) for first in range(len(plan.boards)))


def _begin(ledger: Ledger, source: Source) -> None:
    """Write the header of a new replay, or check that the run and its models are those that it began with."""
    if not ledger.records:
        ledger.append(ReplayHeaderRecord(run=source.run, source_sha256=source.sha256, **stamp()))
        return
    header, *records = ledger.records
    if not isinstance(header, ReplayHeaderRecord):
        raise LedgerError(f"{ledger.path}: line 1 is not the header of a replay", hint="choose another name (--name)")
    if header.schema_version != REPLAY_SCHEMA:
        raise LedgerError(
            f"{ledger.path}: written with replay schema {header.schema_version}, this version has {REPLAY_SCHEMA}",
            hint="continue it with the version that wrote it, or choose another name (--name)",
        )
    if header.source_sha256 != source.sha256:
        raise LedgerError(
            f"{ledger.path}: the run {source.folder} changed since this replay began",
            hint="put its ledger back, or choose another name (--name)",
        )
    models = {network.number: network.model_sha256 for network in source.networks}
    for record in records:
        if isinstance(record, ReplayedRecord) and models.get(record.number, record.model_sha256) != record.model_sha256:
            raise LedgerError(
                f"{ledger.path}: the model file of trial {record.number} changed since this replay began",
                hint="put the file back, or choose another name (--name)",
            )


def _replayed(
    network: Network, board: ReplayBoard, key: str, plan: ReplayPlan, pricer: NetworkPricer
) -> ReplayedRecord:
    started = time.perf_counter()
    found: dict[str, object]
    try:
        measurement, profile_key = pricer.price(network, board)
        found = {"state": "priced", "measurement": measurement, "profile_key": profile_key}
    except CANDIDATE_ERRORS as exc:
        found = _refused(exc)
    fields = {
        "key": key,
        "number": network.number,
        "model_sha256": network.model_sha256,
        "target": board.target.name,
        "clock_mhz": board.clock_mhz,
        "schedule": plan.schedule.label,
        "price_seconds": round(time.perf_counter() - started, 3),
    }
    return ReplayedRecord.model_validate({**fields, **found, **stamp()})


def _refused(error: CrestError) -> dict[str, object]:
    state = "infeasible" if isinstance(error, CapacityError) else "failed"
    return {"state": state, "reason": describe_error(error)}
