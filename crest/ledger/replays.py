"""The records of a replay: what networks of a recorded run cost on other boards and under other schedules."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from crest.frozen import Frozen
from crest.measurement import Measurement

REPLAY_SCHEMA = 1

ReplayState = Literal["priced", "infeasible", "failed"]


class ReplayHeaderRecord(Frozen):
    """First record of a replay: the run that it starts from, by name and by the hash of its ledger."""

    kind: Literal["replay"] = "replay"
    schema_version: int = REPLAY_SCHEMA
    run: str
    source_sha256: str
    recorded_at: str
    host: str


class ReplayedRecord(Frozen):
    """One network on one board at one clock under one schedule.

    ``key`` is a hash of all that decides the price: the model file, board, clock, schedule, reserve, compiler, engine
    and the cycle and energy models; what has a record is not done again. A network that does not fit is infeasible, one
    whose build or run broke has failed; both have a reason in the place of a measurement.
    """

    kind: Literal["replayed"] = "replayed"
    key: str
    number: int
    model_sha256: str
    target: str
    clock_mhz: float
    schedule: str
    state: ReplayState
    reason: str | None = None
    measurement: Measurement | None = None
    profile_key: str | None = None
    price_seconds: float = 0.0
    recorded_at: str
    host: str

    @model_validator(mode="after")
    def _priced_or_reasoned(self) -> ReplayedRecord:
        if (self.state == "priced") != (self.measurement is not None) or (self.measurement is None) != bool(
            self.reason
        ):
            raise ValueError("a replayed network has a measurement, or a reason why not")
        return self
