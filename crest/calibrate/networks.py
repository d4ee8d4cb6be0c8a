"""Sampled networks: what probes cannot tell, the mix of events in code that ships, comes from a handful of these."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from crest.calibrate.network_writer import NetworkWriter
from crest.compiler.build import build_program, check_fit, check_static_fit, lower_graph
from crest.compiler.graph import Graph
from crest.compiler.program import Program
from crest.compiler.toolchain import ZIG, CompilerChoice, Toolchain, target_toolchain
from crest.errors import CapacityError, StudyError
from crest.targets import Target

NETWORKS_MAX: Final = 100
# Long enough to be measured, short enough to be emulated in a second.
_MACS_MIN: Final = 50_000
_MACS_MAX: Final = 1_500_000
# Of a network that does not fit; smaller ones come up sooner or later.
_ATTEMPTS: Final = 10


def sampled_networks(
    target: Target,
    count: int = 5,
    seed: int = 0,
    clock_mhz: float | None = None,
    compiler: CompilerChoice = ZIG,
) -> tuple[Program, ...]:
    """Build int8 networks of random shapes and weights, each kind in turn: convolutional, separable, dense, temporal.

    Args:
        target: the board.
        count: how many; the first ones of a seed stay the same.
        seed: of shapes and weights.
        clock_mhz: one of its clocks; by default the fastest.
        compiler: which compiler, with which flags.

    Raises:
        StudyError: no such clock, or a count out of range.
        CapacityError: the target has no room even for small ones.
        ToolchainError: the compiler is not installed, or failed.
    """
    if not 1 <= count <= NETWORKS_MAX:
        raise StudyError(f"{count} sampled networks", hint=f"1 to {NETWORKS_MAX} make sense; each is built and run")
    board = target.at(clock_mhz)
    toolchain = target_toolchain(compiler.cc, board, compiler.cflags)
    return tuple(_network(board, toolchain, seed, number) for number in range(count))


def sample_graph(seed: int, number: int, attempt: int = 0) -> Graph:
    """One network of a seed; another attempt gives another one of the same kind.

    Between 50 000 and 1 500 000 multiply-accumulates.
    """
    kinds = tuple(_KINDS.items())
    name, write = kinds[number % len(kinds)]
    rng = np.random.default_rng([seed, number, attempt])
    while True:
        net = NetworkWriter(f"{name}{number}", rng)
        graph = net.graph(write(net, rng))
        if _MACS_MIN <= sum(map(graph.macs, graph.operators)) <= _MACS_MAX:
            return graph


def _network(target: Target, toolchain: Toolchain, seed: int, number: int) -> Program:
    for attempt in range(_ATTEMPTS):
        with contextlib.suppress(CapacityError):
            return _build(sample_graph(seed, number, attempt), target, toolchain, seed)
    raise CapacityError(
        f"{target.name} has no room for any of {_ATTEMPTS} small networks",
        hint="calibrate with networks of yours, by a table of measurements",
    )


def _build(graph: Graph, target: Target, toolchain: Toolchain, seed: int) -> Program:
    lowered = lower_graph(graph, target.core)
    check_static_fit(lowered, target, 0, 0)
    program = build_program(lowered, target, toolchain, seed)
    check_fit(program.memory, target)
    return program


def _pick(rng: np.random.Generator, values: Sequence[int]) -> int:
    return int(rng.choice(values))


def _convolutional(net: NetworkWriter, rng: np.random.Generator) -> int:
    size = _pick(rng, (10, 12, 16, 20, 24))
    x = net.input((1, size, size, _pick(rng, (1, 3, 4))))
    for stage in range(_pick(rng, (2, 3, 4))):
        x = net.conv(x, _pick(rng, (6, 8, 12, 16, 24, 32)), (3, 3), stride=2 if stage else 1)
    return net.dense(net.mean(x), _pick(rng, (2, 10)), relu=False)


def _separable(net: NetworkWriter, rng: np.random.Generator) -> int:
    size = _pick(rng, (12, 16, 20, 24, 32))
    x = net.conv(net.input((1, size, size, 3)), _pick(rng, (8, 16)), (3, 3), stride=2)
    for _ in range(_pick(rng, (2, 3, 4))):
        x = net.depthwise(x, (3, 3), stride=_pick(rng, (1, 1, 2)))
        x = net.conv(x, _pick(rng, (16, 24, 32, 48, 64)))
    return net.dense(net.mean(x), _pick(rng, (2, 10)), relu=False)


def _dense(net: NetworkWriter, rng: np.random.Generator) -> int:
    inputs = x = net.input((1, _pick(rng, (128, 256, 320, 640))))
    for _ in range(_pick(rng, (2, 3, 4, 5))):
        x = net.dense(x, _pick(rng, (8, 32, 64, 96, 128)))
    return net.dense(x, net.shape(inputs)[1], relu=False)


def _temporal(net: NetworkWriter, rng: np.random.Generator) -> int:
    units = _pick(rng, (8, 12, 16, 24, 32))
    x = net.conv(net.input((1, 1, _pick(rng, (40, 64, 100, 128)), _pick(rng, (3, 6)))), units, (1, 3))
    for _ in range(_pick(rng, (2, 3, 4))):
        taps = _pick(rng, (3, 5, 7))
        x = net.add(x, net.conv(net.conv(x, units, (1, taps)), units, (1, taps)))
    return net.dense(net.mean(x), _pick(rng, (2, 6)), relu=False)


_KINDS: Final[dict[str, Callable[[NetworkWriter, np.random.Generator], int]]] = {
    "convolutional": _convolutional,
    "separable": _separable,
    "dense": _dense,
    "temporal": _temporal,
}
