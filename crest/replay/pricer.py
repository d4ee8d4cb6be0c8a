"""Prices one network of a run on one board: built, run and verified as it would ship."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from crest.backends.emulated import EmulatedBackend
from crest.compiler.importer import import_tflite
from crest.energy import load_power
from crest.errors import OutputError
from crest.measurement import Measurement
from crest.pricing import Conditions, Execution, Pricing, Reserve, read_execution, write_execution
from crest.replay.plan import ReplayBoard, ReplayPlan
from crest.replay.source import Network
from crest.timing import load_cycle_model


class Replayed(NamedTuple):
    """What a network costs on a board, and the key of the execution that this comes from."""

    measurement: Measurement
    profile_key: str


class NetworkPricer(Protocol):
    """Prices the networks of a run on the boards of a replay."""

    def key(self, network: Network, board: ReplayBoard) -> str:
        """A hash of everything that decides the price."""
        ...

    def price(self, network: Network, board: ReplayBoard) -> Replayed:
        """What the network costs there.

        Raises:
            CapacityError: it does not fit.
            ModelError, ToolchainError, EmulationError, BackendError: its build or run broke; the replay goes on.
        """
        ...


class BackendPricer:
    """Builds networks with their trained weights and runs them on the backend of the study, golden outputs checked.

    Executions are kept in the folder of the replay: another schedule or policy, or a corrected model, builds nothing.
    """

    def __init__(self, plan: ReplayPlan, folder: Path) -> None:
        self._plan = plan
        self._executions = folder / "executions"
        self._backend = EmulatedBackend(plan.source.study.backend.emulated.engine)
        self._pricings: dict[tuple[str, Reserve], Pricing] = {}
        # A network is imported once for all boards.
        self._graph = lru_cache(maxsize=1)(import_tflite)

    def key(self, network: Network, board: ReplayBoard) -> str:
        """See ``NetworkPricer``."""
        pricing = self._pricing(network, board)
        conditions = pricing.conditions
        models = [
            load_cycle_model(board.target).identity,
            load_power(board.target, board.clock_mhz).model,
        ]
        asked = [conditions.schedule.model_dump(mode="json"), conditions.reserve.model_dump(mode="json"), models]
        return pricing.key(json.dumps([network.model_sha256, network.name, *asked], sort_keys=True))

    def price(self, network: Network, board: ReplayBoard) -> Replayed:
        """See ``NetworkPricer``."""
        pricing = self._pricing(network, board)
        # A reserve can be what a network does not fit beside.
        reserve = pricing.conditions.reserve.model_dump(mode="json")
        key = pricing.key(json.dumps([network.model_sha256, network.name, reserve], sort_keys=True))
        return Replayed(pricing.price(self._execution(key, network, pricing)), key)

    def _execution(self, key: str, network: Network, pricing: Pricing) -> Execution:
        path = self._executions / f"{key}.json"
        execution = read_execution(path, key)
        if execution is None:
            execution = pricing.run(pricing.build(self._graph(network.tflite, network.name))).model_copy(
                update={"key": key}
            )
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_execution(path, execution)
            except OSError as exc:
                raise OutputError(
                    f"{path}: cannot be written: {exc.strerror}",
                    hint="free some space and run the same command again; nothing recorded before is lost",
                ) from exc
        return execution

    def _pricing(self, network: Network, board: ReplayBoard) -> Pricing:
        """The road of a board; what the workload buffers is in the network's recorded price."""
        buffers = network.measurement.memory.workload_ram_bytes
        reserve = Reserve(**self._plan.source.study.reserve.model_dump(), workload_ram_bytes=buffers)
        if (board.label, reserve) not in self._pricings:
            conditions = Conditions(board.target, self._plan.schedule, reserve, board.clock_mhz)
            self._pricings[board.label, reserve] = Pricing(conditions, self._backend, self._plan.build_options(board))
        return self._pricings[board.label, reserve]
