"""The same ELF gives the same profile, in this process and in another, and a thousand runs leave no memory behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crest.backends.emulated import EmulatedBackend, MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators.unicorn_engine import UnicornEngine
from crest.targets import Cache, MemoryGeometry
from crest.timing.model import load_core_timing
from tests.emulators.firmware import TARGET, asm
from tests.models_small import residual_model

LINES = Cache(line_bytes=16, lines=16, ways=4)
GEOMETRY = MemoryGeometry(line_bytes=16, instruction_cache=LINES, data_cache=LINES, cached_regions=("flash", "ram"))
BOARD = TARGET.model_copy(update={"memory_geometry": GEOMETRY})
PROGRAM = """
  ldr r4, =constants
  ldr r5, =0x20000400
  MARK 0xFFFFFFFE
  MARK 0
  movs r6, #50
1: ldr r1, [r4, r6]
  str r1, [r5], #4
  subs r6, #1
  bne 1b
  MARK 0xFFFFFFFF
  b 2f
  .balign 64
constants: .space 64
2:
"""
STATM = Path("/proc/self/statm")
RUNS, WARM_UP = 1_000, 50
# One machine has 3 MB, its tables alone some hundred kilobytes.
ALLOWED_BYTES_A_RUN = 2_000


def profile(elf):
    machine = UnicornEngine().boot(elf, BOARD)
    machine.count_memory(True)
    machine.receive()
    found = machine.profile()
    machine.close()
    return found


def network():
    return build_program(
        lower_graph(import_tflite(residual_model()), BOARD.core), BOARD, target_toolchain("zig", BOARD)
    )


def network_profile():
    return EmulatedBackend().run(network()).profile


def test_two_runs_of_a_network_are_equal_in_any_process():
    here = network_profile()
    assert here == network_profile()
    assert {"load_ram", "fetch_misses_branch", "write_backs"} <= here.total().keys()
    command = "from tests.emulators.test_emulators_repeat import network_profile as n; print(n().model_dump_json())"
    elsewhere = subprocess.run(
        [sys.executable, "-c", command],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.strip() == here.model_dump_json()


def test_the_inference_that_is_sampled_stands_for_all():
    program = network()
    machine = UnicornEngine().boot(program.elf, BOARD)
    session = open_session(MachineTransport(machine), program)
    machine.count_memory(True)
    profiles = []
    for pair in program.golden:
        session.load(pair.inputs)
        session.run()
        profiles.append(machine.profile())
    machine.close()
    sampled = network_profile()
    assert sampled == profiles[-1]
    cycles = load_core_timing(BOARD.core).cycles
    mean = sum(cycles(profile.total()) for profile in profiles) / len(profiles)
    assert cycles(sampled.total()) == pytest.approx(mean, rel=0.01)
    misses = [profile.total()["flash_load_misses"] for profile in profiles]
    assert misses[-1] == pytest.approx(sum(misses) / len(misses), rel=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc")
def test_a_thousand_runs_leave_no_memory_behind():
    elf = asm(PROGRAM, target=BOARD)
    first = profile(elf)

    def resident_bytes_after(runs):
        for number in range(runs):
            assert profile(elf) == first
            if number % 10 == 9:
                gc.collect()  # closed machines are cycles; how many lie about must not decide
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident_bytes_after(WARM_UP)
    after = resident_bytes_after(RUNS)
    assert after - before < ALLOWED_BYTES_A_RUN * RUNS, f"{before} bytes before, {after} after"
