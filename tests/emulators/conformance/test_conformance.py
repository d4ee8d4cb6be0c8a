"""Every engine over the same programs: outputs, profiles, faults, sleeps.

The fake Renode runs a few of them, so that the half of Renode is exercised where it is not installed.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace

import pytest

from crest.backends.emulated import MachineTransport
from crest.backends.session import check_golden_outputs, open_session
from crest.compiler.program import Program
from crest.count_names import INSTRUCTION_CLASSES
from crest.emulators.renode.engine import RenodeEngine
from crest.emulators.renode.machine import Deadlines
from crest.emulators.unicorn_engine import UnicornEngine
from crest.errors import EmulationError
from tests.emulators.conformance.cases import CASES, Case
from tests.emulators.renode_places import real_renode, write_fake

LIMITS = Deadlines(quiet_s=0.1, instructions=2_000_000)
FOR_THE_FAKE = {
    "network-dense-cortex-m0plus", "network-dense-cortex-m4", "network-residual-cortex-m7",
    "fault-unmapped_read-cortex-m4", "fault-stack_overflow-cortex-m0plus", "fault-undefined_mark-cortex-m7",
    "wrong-DSP-cortex-m0plus", "wrong-double_precision-cortex-m4",
}  # fmt: skip


def cases(*kinds: str):
    """(engine, case) of some kinds."""
    return [
        pytest.param(engine, case, id=f"{engine}-{case}", marks=[pytest.mark.renode] if engine == "renode" else [])
        for engine in ("unicorn", "fake", "renode")
        for case in CASES
        if case.kind in kinds and (engine != "fake" or str(case) in FOR_THE_FAKE)
    ]


@functools.cache
def renode(path, mode: str) -> RenodeEngine:
    return RenodeEngine(mode, program=path, deadlines=LIMITS)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory):
    """Engines by the names of ``cases``."""
    fake = write_fake(tmp_path_factory.mktemp("fake"))

    def find(name: str, mode: str = "trace"):
        if name == "unicorn":
            return UnicornEngine(guard_blocks=200_000)
        return renode(fake if name == "fake" else real_renode(), mode)

    yield find
    for mode in ("trace", "counters"):
        renode(fake, mode).close()
    renode.cache_clear()


def run_program(engine, program: Program):
    """Check the golden outputs; returns the profile of one inference, and the full one."""
    machine = engine.boot(program.elf, program.target)
    try:
        session = open_session(MachineTransport(machine), program)
        assert check_golden_outputs(session, replace(program, golden=program.golden[:2])) == 2
        quick = machine.profile()
        machine.count_memory(True)
        check_golden_outputs(session, replace(program, golden=program.golden[1:2]))
        full = machine.profile()
        session.bye()
    finally:
        machine.close()
    return quick, full


@functools.cache
def reference(case: Case):
    return run_program(UnicornEngine(), case.program())


def counts(profile):
    return [profile.overhead, *(layer.counts for layer in profile.layers)]


def test_there_are_enough_programs():
    assert len(CASES) >= 50
    assert {str(case) for case in CASES} >= FOR_THE_FAKE


@pytest.mark.parametrize(("engine", "case"), cases("network"))
def test_networks(engine_of, engine, case):
    quick, full = run_program(engine_of(engine), case.program())
    assert [layer.index for layer in full.layers] == [layer.index for layer in case.program().layers]
    for row in counts(full):
        assert sum(row.get(kind, 0) for kind in INSTRUCTION_CLASSES) == row["instructions"] > 0
    expected_quick, expected_full = reference(case)
    assert counts(full) == counts(expected_full)
    assert full.unseen == ()
    if not quick.unseen:
        assert counts(quick) == counts(expected_quick)
        return
    for row, expected in zip(counts(quick), counts(expected_quick), strict=True):
        assert row["instructions"] == expected["instructions"]
        for kind in INSTRUCTION_CLASSES:
            skipped = row.get("unclassified", 0)  # a class may miss what an IT block skipped, and nothing else
            if kind not in quick.unseen:
                assert 0 <= expected.get(kind, 0) - row.get(kind, 0) <= skipped


@pytest.mark.parametrize(("engine", "case"), cases("fault", "wrong"))
def test_faults(engine_of, engine, case):
    made = engine_of(engine)
    elf = case.elf()
    try:
        machine = made.boot(elf, case.target)
    except EmulationError as refused:
        assert case.kind == "wrong"
        assert "instruction" in refused.message
        return
    try:
        with pytest.raises(EmulationError) as caught:
            machine.receive()
    finally:
        machine.close()
    assert "in layer 5" in caught.value.message
    assert "registers: r0=" in caught.value.hint
    if case.name in ("endless loop", "spin", "undefined mark"):
        assert re.search(r"\((Reset_Handler\+0x\w+|crest_layer_mark)\)", caught.value.message)


@pytest.mark.parametrize(("engine", "case"), cases("sleep"))
def test_sleeps(engine_of, engine, case):
    machine = engine_of(engine).boot(case.elf(), case.target)
    try:
        assert machine.receive() == b""
        if case.name == "waits for ever":
            assert machine.receive() == b""
            return
        for byte in b"\x05\x10" if case.name == "sleeps again" else b"\x05":
            machine.send(bytes([byte]))
            assert machine.receive() == bytes([byte + 1])
            assert machine.receive() == b""
    finally:
        machine.close()
