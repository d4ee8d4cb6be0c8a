"""Runs generated layers on a machine and compares them with TFLM's reference kernels, which are asked every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from crest.compiler.graph import Graph
from crest.compiler.importer import import_tflite
from crest.compiler.kernel_call import KernelCall
from crest.compiler.lowering import lower
from crest.compiler.passes import run_passes
from crest.targets import CoreName
from tests.kernels.linking import link
from tests.kernels.machines import EmulatedCore, Host
from tests.kernels.places import apart, over
from tests.kernels.registry import SEED, SEED_VARIABLE, Draw, Generator

tflm = pytest.importorskip("tflite_micro", reason="TFLM is the oracle").runtime

ORACLE_ARENA_BYTES = 1 << 18
# A generator that reaches a kernel less often than once in so many layers is to be improved.
_LAYERS_PER_CASE = 5
_FAILURES = 20

Calls = tuple[KernelCall | None, ...]


def run_campaign(
    generator: Generator, cores: Sequence[CoreName], machine: Host | EmulatedCore, cases: int, first: int = 0
) -> Counter[str]:
    """Draw layers until each of their kernels has run often enough.

    Args:
        generator: of the layers.
        cores: whose kernels are run, in turns.
        machine: where they are run.
        cases: wanted of each kernel.
        first: number of the first layer.

    Returns:
        Cases by kernel.

    Raises:
        AssertionError: kernel and oracle differ; the smallest of some such layers is named.
    """
    ran: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    number = first
    while number < first + cases or _scarce(ran, generator, cases):
        if number > first + _LAYERS_PER_CASE * cases or len(failures) >= _FAILURES:
            break
        model = generator.draw(Draw(generator.name, number))
        try:
            draw = Draw(f"{generator.name} input", number)
            ran.update(_compare(model, draw, cores[number % len(cores)], machine))
        except Exception as exc:
            failures.append((len(model), f"{generator.name}, layer {number}: {type(exc).__name__}: {exc}"))
        number += 1
    if failures:
        raise AssertionError(f"{min(failures)[1]} ({len(failures)} failures; repeat with {SEED_VARIABLE}={SEED})")
    scarce = _scarce(ran, generator, cases)
    assert not scarce, f"{generator.name}: too few of {number - first} layers reach {scarce}"
    return ran


def _scarce(ran: Counter[str], generator: Generator, cases: int) -> dict[str, int]:
    """Cases of the generator's kernels, of those that the machine has, which are too few."""
    return {name: ran[name] for name in generator.kernels if 0 < ran[name] < cases}


def _compare(model: bytes, draw: Draw, core: CoreName, machine: Host | EmulatedCore) -> set[str]:
    """Run a layer with every kernel that the core has for it; returns the kernels."""
    graph, _ = run_passes(import_tflite(model))
    inputs = [draw.values(graph.tensors[index].shape, graph.tensors[index].dtype) for index in graph.inputs]
    expected = ask_oracle(model, inputs)
    dtype = graph.tensors[graph.outputs[0]].dtype
    ran: set[str] = set()
    for calls in kernel_choices(graph, core):
        functions = {call.function for call in calls if call is not None}
        ran |= functions
        for places in (apart(graph, calls, draw.arrays), over(graph, calls)):
            if places is not None:
                linked = link(graph, calls, places, machine, fill=draw.randrange(256))
                check_equal(linked.run(machine, inputs), expected, dtype, f"{functions} for {core}")
    return ran


def kernel_choices(graph: Graph, core: CoreName) -> Iterator[Calls]:
    """The calls of a graph with each of the kernels between which a cost function would choose."""
    considered: set[str] = set()

    def chosen(function: str | None) -> Calls:
        def cost(call: KernelCall) -> float:
            considered.add(call.function)
            return float(call.function != function)

        return tuple(lower(graph, op, core, cost) for op in graph.operators)

    calls = chosen(None)
    yield calls
    for function in sorted(considered - {call.function for call in calls if call is not None}):
        yield chosen(function)


def ask_oracle(model: bytes, inputs: Sequence[np.ndarray]) -> bytes:
    """What TFLM computes: the concatenated outputs."""
    oracle = tflm.Interpreter.from_bytes(model, arena_size=ORACLE_ARENA_BYTES)
    for position, value in enumerate(inputs):
        oracle.set_input(value, position)
    oracle.invoke()
    outputs = import_tflite(model).outputs
    return b"".join(oracle.get_output(position).tobytes() for position in range(len(outputs)))


def check_equal(got: bytes, expected: bytes, dtype: str, what: str) -> None:
    """Equal to the bit, or to 1e-5 where numbers are float32."""
    if dtype == "float32":
        ours, theirs = (np.frombuffer(raw, np.float32) for raw in (got, expected))
        largest = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * largest, err_msg=what)
    elif got != expected:
        ours, theirs = (np.frombuffer(raw, dtype) for raw in (got, expected))
        at = int(np.flatnonzero(ours != theirs)[0])
        wrong = int((ours != theirs).sum())
        raise AssertionError(f"{what}: {wrong} of {len(ours)} differ, number {at} is {ours[at]}, not {theirs[at]}")
