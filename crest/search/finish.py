"""Members of the front: rebuilt with their trained weights, verified on the backend, left behind as files."""

from __future__ import annotations

from pathlib import Path

from crest.compiler.importer import import_tflite
from crest.compiler.project import write_c_project
from crest.errors import ModelError
from crest.files import write_atomically
from crest.ledger import TrialRecord
from crest.search.contracts import Finished
from crest.search.evaluate import evaluate, keep_execution
from crest.search.setup import Setup


class StudyFinisher:
    """Finishes members of the front of a study."""

    def __init__(self, setup: Setup, run_folder: Path) -> None:
        self._setup = setup
        self._run_folder = run_folder

    def finish(self, record: TrialRecord) -> Finished:
        """See ``crest.search.contracts.Finisher``."""
        name = f"trial-{record.number:04d}"
        clock_mhz = record.key.clock_mhz
        several = len(self._setup.study.clocks_mhz) > 1
        folder = Path("members") / (f"{name}-{clock_mhz:g}mhz" if several else name)
        tflite = self._trained_model(record)
        graph = import_tflite(tflite, name)
        pricing = self._setup.pricing(record.quantization, clock_mhz)
        program = pricing.build(graph)
        execution = pricing.run(program)
        keep_execution(self._run_folder, execution)
        (self._run_folder / folder).mkdir(parents=True, exist_ok=True)
        files = {"tflite": (folder / "model.tflite").as_posix(), "elf": (folder / "firmware.elf").as_posix()}
        if program.sources is not None:
            files["c_project"] = (folder / "c").as_posix()
            write_c_project(program, pricing.toolchain, self._run_folder / folder / "c")
        write_atomically(self._run_folder / folder / "model.tflite", tflite)
        write_atomically(self._run_folder / folder / "firmware.elf", program.elf)
        return Finished(
            measurement=pricing.price(execution),
            metrics=evaluate(self._setup, graph, "valid"),
            test_metrics=evaluate(self._setup, graph, "test"),
            files=files,
            profile_key=execution.key,
        )

    def _trained_model(self, record: TrialRecord) -> bytes:
        if record.model is None:
            raise ModelError(f"trial {record.number} has no trained model")
        path = self._run_folder / record.model
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: the trained model of trial {record.number} is gone") from None
