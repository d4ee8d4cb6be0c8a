"""The real evaluators: price by firmware on the backend, train in torch, judge the quantized model by its kernels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest import models
from crest.compiler.build import lower_graph
from crest.compiler.graph import Graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.errors import LedgerError
from crest.files import write_atomically
from crest.ledger import TrainingSummary
from crest.models.conversion import Converter, tensorflow_version
from crest.models.layers import LayerGraph
from crest.models.proxies import static_proxies
from crest.models.weights import initial_weights, parameter_count
from crest.pricing import Execution, read_execution, write_execution
from crest.search.contracts import Evaluators, OnEpoch, Priced, Trained
from crest.search.setup import Setup, set_up
from crest.study import parse_study
from crest.workloads.base import SplitName

CALIBRATION_WINDOWS: Final = 128
# Prices are made with these weights and inputs whatever the study's seed, so that every study shares them.
_PRICING_SEED: Final = 0


def make_evaluators(study: Mapping[str, Any], study_folder: Path, run_folder: Path) -> Evaluators:
    """Evaluators of one process; the arguments travel to workers, what is built from them does not."""
    setup = set_up(parse_study(study, folder=study_folder))
    converter = Converter()
    return Evaluators(StudyPricer(setup, converter, run_folder), StudyTrainer(setup, converter, run_folder))


class StudyPricer:
    """Prices a candidate with seeded weights: weight-independent lowering, executed on the backend."""

    def __init__(self, setup: Setup, converter: Converter, run_folder: Path) -> None:
        self._setup = setup
        self._converter = converter
        self._run_folder = run_folder
        self._pricing = lru_cache(setup.pricing)
        # A candidate is converted once for all its clocks.
        self._seeded = lru_cache(maxsize=1)(self._convert)

    def price(self, candidate: Mapping[str, Any], quantization: str, clock_mhz: float | None) -> Priced:
        """See ``crest.search.contracts.Pricer``."""
        graph = build_layers(self._setup, candidate)
        pricing = self._pricing(quantization, clock_mhz)
        identity = json.dumps([_converter_identity(), graph.canonical_json(), quantization])
        execution = pricing.execution(identity, lambda: self._seeded(graph, quantization))
        keep_execution(self._run_folder, execution)
        proxies = static_proxies(graph, quantization).metrics()  # type: ignore[arg-type]
        return Priced(pricing.price(execution), proxies, execution.key)

    def _convert(self, graph: LayerGraph, quantization: str) -> Graph:
        rng = np.random.default_rng(_PRICING_SEED)
        calibration = rng.standard_normal((CALIBRATION_WINDOWS, *graph.input_shape)).astype(np.float32)
        weights = initial_weights(graph, _PRICING_SEED)
        tflite = self._converter.convert(graph, weights, quantization, calibration)  # type: ignore[arg-type]
        return import_tflite(tflite, "candidate")


class StudyTrainer:
    """Trains a candidate and evaluates what would ship on the validation split."""

    def __init__(self, setup: Setup, converter: Converter, run_folder: Path) -> None:
        self._setup = setup
        self._converter = converter
        self._run_folder = run_folder

    def train(self, number: int, candidate: Mapping[str, Any], quantization: str, on_epoch: OnEpoch) -> Trained:
        """See ``crest.search.contracts.Trainer``."""
        from crest.models.training import TrainingSettings, train

        setup, options = self._setup, self._setup.study.search
        graph = build_layers(setup, candidate)
        seed = training_seed(options.seed, number)
        settings = TrainingSettings(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            patience=options.patience,
            seed=seed,
        )
        splits = setup.workload.split("train"), setup.workload.split("valid")

        def relay(epoch: int, loss: float) -> bool:
            on_epoch(epoch, loss)
            return False

        model = train(graph, setup.workload.heads, *splits, settings, on_epoch=relay)
        tflite = self._converter.convert(graph, model.weights, quantization, self._calibration())  # type: ignore[arg-type]
        path = Path("models") / f"trial-{number:04d}.tflite"
        (self._run_folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._run_folder / path, tflite)
        return Trained(
            metrics=evaluate(setup, import_tflite(tflite, path.name), "valid"),
            summary=TrainingSummary(
                epochs=len(model.validation_loss),
                seed=seed,
                parameters=parameter_count(graph),
                validation_loss=model.validation_loss,
            ),
            model_path=path.as_posix(),
        )

    def _calibration(self) -> NDArray[np.float32]:
        """Training windows at even distances, so that every recording is among them."""
        x = self._setup.workload.split("train").x
        windows: NDArray[np.float32] = x[np.linspace(0, len(x) - 1, min(CALIBRATION_WINDOWS, len(x))).astype(int)]
        return windows


@cache
def _converter_identity() -> str:
    """What decides the .tflite of a layer graph with seeded weights: TensorFlow, and our own sources around it."""
    digest = hashlib.sha256(tensorflow_version().encode())
    for path in sorted(Path(models.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build_layers(setup: Setup, candidate: Mapping[str, Any]) -> LayerGraph:
    """The layer graph of a candidate for the study's workload."""
    return setup.family.build(candidate, setup.workload.input_shape, setup.workload.heads)


def evaluate(setup: Setup, graph: Graph, split: SplitName) -> dict[str, float]:
    """Metrics on a split of the model that ships: the same C, compiled for this machine."""
    lowered = lower_graph(graph, setup.target.core, passes=setup.study.lowering)
    with HostModel(lowered.graph, lowered.sources) as host:
        return setup.workload.metrics(split, host.predict(setup.workload.split(split).x))


def training_seed(study_seed: int, number: int) -> int:
    """The seed of a trial's training: its own, and the same whenever the trial is done."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])


def keep_execution(run_folder: Path, execution: Execution) -> None:
    """Keep an execution with the run, so that it can be repriced without building or running it again."""
    path = _execution_path(run_folder, execution.key)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_execution(path, execution)


def stored_execution(run_folder: Path, key: str) -> Execution:
    """An execution that was kept with the run.

    Raises:
        LedgerError: it is gone, or of another version of CREST.
    """
    path = _execution_path(run_folder, key)
    execution = read_execution(path, key)
    if execution is None:
        raise LedgerError(f"{path}: the execution is gone or was written by another version", hint="search again")
    return execution


def _execution_path(run_folder: Path, key: str) -> Path:
    return run_folder / "executions" / f"{key}.json"
