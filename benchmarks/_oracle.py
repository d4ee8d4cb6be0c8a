"""Random inputs on which TFLM's reference kernels and this project's differ: on the host, and on an emulated board."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from crest.backends.emulated import MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import Lowered
from crest.compiler.host import HostModel
from crest.compiler.program import Program
from crest.emulators.elf import read_elf
from crest.emulators.unicorn_engine import UnicornEngine


@dataclass(frozen=True)
class Cases:
    """Inputs of a model and what TFLM gives for them."""

    inputs: list[bytes]
    outputs: list[bytes]


def tflm_cases(model: bytes, shape: tuple[int, ...], count: int, seed: int) -> Cases | None:
    """Random int8 inputs; None without TFLM."""
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    oracle = runtime.Interpreter.from_bytes(model, arena_size=1 << 20)
    rng = np.random.default_rng(seed)
    cases = Cases([], [])
    for _ in range(count):
        x = rng.integers(-128, 128, shape, dtype=np.int8)
        oracle.set_input(x, 0)
        oracle.invoke()
        cases.inputs.append(x.tobytes())
        cases.outputs.append(oracle.get_output(0).tobytes())
    return cases


def host_mismatches(lowered: Lowered, cases: Cases) -> int:
    with HostModel(lowered.graph, lowered.sources) as host:
        got = [host.run_bytes(x) for x in cases.inputs]
    return sum(a != b for a, b in zip(got, cases.outputs, strict=True))


def emulated_mismatches(program: Program, cases: Cases) -> int:
    """Inputs are written to where the application keeps them: the UART would take most of the time."""
    address = read_elf(program.elf, program.target).symbols["harness_input"]
    machine = UnicornEngine().boot(program.elf, program.target)
    try:
        session = open_session(MachineTransport(machine), program)
        wrong = 0
        for x, expected in zip(cases.inputs, cases.outputs, strict=True):
            machine.write_ram(address, x)
            wrong += session.run() != zlib.crc32(expected)
        return wrong
    finally:
        machine.close()
