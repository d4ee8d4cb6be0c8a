"""How long a new candidate takes from .tflite to firmware with golden outputs, after the first, and how that splits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from crest.compiler import build
from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.targets import Target

STAGES = ("import", "lower", "emit", "compile and link", "host library", "golden outputs and reports")
CANDIDATES = 5


def compile_seconds(model: bytes, target: Target, seed: int) -> dict[str, float]:
    """Seconds by stage, and ``total``; the median candidate of several that differ in their weights."""
    rng = np.random.default_rng(seed)
    runs = [_candidate(model, target, rng) for _ in range(CANDIDATES + 1)]
    totals = [sum(run.values()) for run in runs[1:]]
    middle = runs[1 + totals.index(median(totals))]
    return {**middle, "total": sum(middle.values())}


def _candidate(model: bytes, target: Target, rng: np.random.Generator) -> dict[str, float]:
    seconds = dict.fromkeys(STAGES, 0.0)
    start = time.perf_counter()
    with _timed(seconds, "import"):
        imported = import_tflite(model, "candidate")
    graph = _other_weights(imported, rng)
    with _timed(seconds, "lower"):
        lowered = build.lower_graph(graph)
    with _timed(seconds, "emit"):
        _ = lowered.sources
    toolchain = target_toolchain("zig", target)
    before = time.perf_counter()
    with (
        _watched(build, "build_elf", seconds, "compile and link"),
        _watched(build, "HostModel", seconds, "host library"),
    ):
        build.build_program(lowered, target, toolchain)
    whole = time.perf_counter() - before
    seconds["golden outputs and reports"] = whole - seconds["compile and link"] - seconds["host library"]
    assert sum(seconds.values()) <= time.perf_counter() - start
    return seconds


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - start


@contextmanager
def _watched(module: Any, name: str, seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Time the calls of a function of a module."""
    original: Callable[..., Any] = getattr(module, name)

    def call(*arguments: Any) -> Any:
        with _timed(seconds, stage):
            return original(*arguments)

    setattr(module, name, call)
    try:
        yield
    finally:
        setattr(module, name, original)


def _other_weights(graph: Graph, rng: np.random.Generator) -> Graph:
    """The same graph with its int8 weights shuffled: no cache has seen it."""
    tensors = []
    for tensor in graph.tensors:
        data = tensor.data
        if data is not None and data.dtype == np.int8:
            data = rng.permutation(data.reshape(-1)).reshape(data.shape)
        tensors.append(replace(tensor, data=data))
    return replace(graph, tensors=tuple(tensors))
