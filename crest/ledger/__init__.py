"""The ledger: every trial, append-only and checksummed; the truth of a run."""

from crest.ledger.journal import LEDGER_NAME, Ledger, read_ledger, read_run
from crest.ledger.lines import canonical_json, content
from crest.ledger.records import (
    LEDGER_SCHEMA,
    ChosenSampler,
    EarlierRun,
    FinishedRecord,
    HeaderRecord,
    MemberRecord,
    Outcome,
    PointKey,
    Record,
    RejectedRecord,
    TrainingSummary,
    TrialRecord,
    TrialState,
)
from crest.ledger.replays import REPLAY_SCHEMA, ReplayedRecord, ReplayHeaderRecord, ReplayState

__all__ = [
    "LEDGER_NAME",
    "LEDGER_SCHEMA",
    "REPLAY_SCHEMA",
    "ChosenSampler",
    "EarlierRun",
    "FinishedRecord",
    "HeaderRecord",
    "Ledger",
    "MemberRecord",
    "Outcome",
    "PointKey",
    "Record",
    "RejectedRecord",
    "ReplayHeaderRecord",
    "ReplayState",
    "ReplayedRecord",
    "TrainingSummary",
    "TrialRecord",
    "TrialState",
    "canonical_json",
    "content",
    "read_ledger",
    "read_run",
]
