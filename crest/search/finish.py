"""Members of the front: rebuilt with their trained weights, verified on the backend, left behind as files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.compiler.project import write_c_project
from crest.errors import ModelError
from crest.files import write_atomically
from crest.ledger import TrialRecord
from crest.search.contracts import Finished
from crest.search.evaluate import evaluate, keep_execution
from crest.search.setup import Setup


class _Network(NamedTuple):
    """What of a trained network no clock changes."""

    tflite: bytes
    graph: Graph
    metrics: Mapping[str, float]
    test_metrics: Mapping[str, float]


class StudyFinisher:
    """Finishes members of the front of a study."""

    def __init__(self, setup: Setup, run_folder: Path) -> None:
        self._setup = setup
        self._run_folder = run_folder
        self._network = lru_cache(maxsize=1)(self._evaluated)

    def finish(self, record: TrialRecord) -> Finished:
        """See ``crest.search.contracts.Finisher``."""
        network = self._network(record.number, record.model)
        clock_mhz = record.key.clock_mhz
        several = len(self._setup.study.clocks_mhz) > 1
        folder = Path("members") / (_name(record.number) + (f"-{clock_mhz:g}mhz" if several else ""))
        pricing = self._setup.pricing(record.quantization, clock_mhz)
        program = pricing.build(network.graph)
        execution = pricing.run(program)
        keep_execution(self._run_folder, execution)
        (self._run_folder / folder).mkdir(parents=True, exist_ok=True)
        files = {"tflite": (folder / "model.tflite").as_posix(), "elf": (folder / "firmware.elf").as_posix()}
        if program.sources is not None:
            files["c_project"] = (folder / "c").as_posix()
            write_c_project(program, pricing.toolchain, self._run_folder / folder / "c")
        write_atomically(self._run_folder / folder / "model.tflite", network.tflite)
        write_atomically(self._run_folder / folder / "firmware.elf", program.elf)
        return Finished(
            measurement=pricing.price(execution),
            metrics=network.metrics,
            test_metrics=network.test_metrics,
            files=files,
            profile_key=execution.key,
        )

    def _evaluated(self, number: int, model: str | None) -> _Network:
        if model is None:
            raise ModelError(f"trial {number} has no trained model")
        path = self._run_folder / model
        try:
            tflite = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: the trained model of trial {number} is gone") from None
        graph = import_tflite(tflite, _name(number))
        return _Network(tflite, graph, evaluate(self._setup, graph, "valid"), evaluate(self._setup, graph, "test"))


def _name(number: int) -> str:
    return f"trial-{number:04d}"
