"""The engine renode over the fake monitor: what it counts, says of failures, and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crest.emulators import load_engine
from crest.emulators.renode import program as renode_program
from crest.emulators.renode.engine import RenodeEngine
from crest.emulators.renode.machine import Deadlines
from crest.emulators.renode.program import find_program, renode_run_folder
from crest.errors import EmulationError, StudyError
from tests.emulators.firmware import M0PLUS, TARGET, asm, c
from tests.emulators.renode_places import ROOT, write_fake

ECHO = """
static volatile int sum;
int main(void) {
  static uint8_t b[4];
  for (;;) {
    for (int i = 0; i < 4; i++) get(b + i, 1);
    crest_layer_mark(OPEN);
    crest_layer_mark(0);
    for (int i = 0; i < b[0]; i++) sum += i;
    crest_layer_mark(1);
    for (int i = 0; i < 7; i++) sum *= 3;
    crest_layer_mark(OVERHEAD);
    b[1]++;
    crest_layer_mark(CLOSE);
    put(b, 4);
  }
}
"""
QUICK = Deadlines(start_s=20.0, command_s=20.0, quiet_s=0.05)
M0_TARGET = TARGET.model_copy(update={"name": "m0", "core": "cortex-m0plus", "fpu": "none"})
NO_FPU = TARGET.model_copy(update={"name": "nofpu", "fpu": "none"})


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """The folder for temporary files, to see what is left in it."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def engine(tmp_path, temp, monkeypatch):
    """Makes an engine over the fake, which shows the given faults; nothing may be left of it."""
    engines, machines = [], []
    path = write_fake(tmp_path)

    class Recorded(RenodeEngine):
        def boot(self, elf, target):
            machines.append(super().boot(elf, target))
            return machines[-1]

    def make(deadlines=QUICK, mode="trace", **faults):
        monkeypatch.setenv("FAKE_RENODE", json.dumps(faults))
        engines.append(Recorded(mode, program=path, deadlines=deadlines))
        return engines[-1]

    yield make
    for made in (*machines, *engines):
        made.close()
    assert list(temp.iterdir()) == []


def pid_of(machine):
    return int((machine._process.folder / "pid").read_text())


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never became true")


def exchange(machine):
    assert machine.receive() == b""
    machine.send(b"\x05\x01\x02\x03")
    assert machine.receive() == b"\x05\x02\x02\x03"
    assert machine.receive() == b""


def test_outputs_and_a_traced_profile_are_those_of_unicorn(engine, boot):
    elf = c(ECHO)
    machines = [engine().boot(elf, TARGET), boot(elf)]
    for machine in machines:
        machine.count_memory(True)
        exchange(machine)
    traced, counted = (machine.profile() for machine in machines)
    assert traced.engine == "renode 1.16.1.10190 trace"
    assert traced.model_copy(update={"engine": ""}) == counted.model_copy(update={"engine": ""})
    machines[0].close()
    pid = pid_of(machines[0])
    assert is_alive(pid)  # it waits for the next machine
    again = machines[0]._release.__self__.boot(elf, TARGET)
    assert pid_of(again) == pid
    again.count_memory(True)
    exchange(again)
    assert again.profile() == traced


def test_counters_give_totals_and_what_the_first_halfword_tells(engine, boot):
    elf = c(ECHO)
    machines = [engine(mode="counters").boot(elf, TARGET), boot(elf)]
    for machine in machines:
        exchange(machine)
    counted, full = (machine.profile() for machine in machines)
    assert [layer.counts["instructions"] for layer in counted.layers] == [
        layer.counts["instructions"] for layer in full.layers
    ]
    seen = [name for name in full.total() if name not in counted.unseen]
    assert {"instructions", "ld", "st", "bc", "bx"} <= set(seen)
    assert {name: counted.total()[name] for name in seen} == {name: full.total()[name] for name in seen}
    assert "ld_first" in counted.unseen
    with pytest.raises(EmulationError, match="counts no data accesses"):
        machines[0].count_memory(True)


def test_skipped_instructions_of_an_it_block_are_counted_but_have_no_class(engine, boot):
    body = "  movs r0, #1\n  cmp r0, #2\n  itt eq\n  muleq r1, r0, r0\n  addeq r1, #1\n"
    body = f"  MARK 0xFFFFFFFE\n{body}  MARK 0xFFFFFFFF\n"
    elf = asm(body)
    machine, other = engine().boot(elf, TARGET), boot(elf)
    assert machine.receive() == other.receive() == b""
    counted, full = machine.profile().total(), other.profile().total()
    assert counted["instructions"] == full["instructions"]
    assert (counted["unclassified"], counted["it"], full["mul"]) == (2, 1, 1)
    machine = engine().boot(asm("  nop\n"), TARGET)
    with pytest.raises(EmulationError, match="no latency window"):
        machine.profile()


def test_input_that_comes_early_waits_for_the_receiver(engine):
    machine = engine().boot(c(ECHO), TARGET)
    machine.send(b"\x01\x02\x03\x04")
    machine.send(b"\x02\x03\x04\x05")
    assert b"".join(iter(machine.receive, b"")) == b"\x01\x03\x03\x04\x02\x04\x04\x05"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ldr r1, =0x30000000\n  ldr r2, [r1]", r"read where .* 4 bytes at 0x30000000, by the instruction at 0x000\w+"),
        ("ldr r1, =0x20040000\n  strb r1, [r1]", r"write where .* 1 bytes at 0x20040000"),
        ("ldr sp, =0x20000010\n  push {r0-r7}", r"write where .* at 0x1ffffff"),
        ("1: nop\n  nop\n  b 1b", "an endless loop"),
        ("b .", "branches to itself"),
        ("MARK 0x12345", "undefined id 0x12345"),
    ],
)
def test_faults_are_named(engine, body, message):
    deadlines = Deadlines(start_s=20.0, command_s=20.0, quiet_s=0.05, instructions=20_000)
    machine = engine(deadlines).boot(asm(f"  MARK 0xFFFFFFFE\n  MARK 5\n  {body}\n"), TARGET)
    with pytest.raises(EmulationError, match=message) as caught:
        machine.receive()
    assert "registers: r0=" in caught.value.hint
    assert "in layer 5" in str(caught.value)
    with pytest.raises(EmulationError, match=message):
        machine.receive()


def test_a_fault_handler_names_where_the_fault_was(engine):
    body = "  MARK 0xFFFFFFFE\n  MARK 3\n  svc #0\n  b 1f\n.thumb_func\n.type fault,%function\nfault: b fault\n1:\n"
    body += '  .section .vectors,"a"\n  .word 0\n  .word fault\n  .text\n'
    machine = engine().boot(asm(body), TARGET)
    with pytest.raises(EmulationError, match=r"\(Reset_Handler\+0x\w+\), in layer 3: a fault exception"):
        machine.receive()


def test_stores_to_flash_are_found_in_a_trace(engine):
    machine = engine().boot(asm("  MARK 0xFFFFFFFE\n  ldr r1, =0x20000\n  str r1, [r1]\n  MARK 0xFFFFFFFF\n"), TARGET)
    machine.count_memory(True)
    machine.receive()
    with pytest.raises(EmulationError, match="a write to flash: 0x00020000"):
        machine.profile()


def test_a_sleeping_core_waits(engine):
    machine = engine().boot(asm("  wfi\n"), TARGET)
    assert machine.receive() == b""
    assert machine.receive() == b""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"at": "include", "do": "die"}, r"ended during `include .*its last words were '.*everything is lost"),
        ({"at": "start", "do": "die"}, "ended during `start`"),
        ({"at": "machine IsPaused", "do": "die"}, "ended during `machine IsPaused`"),
        ({"at": "start", "do": "refuse"}, "refuses `start`: .* because it is Tuesday"),
        ({"at": "include", "do": "refuse"}, "refuses `include"),
        ({"at": "cpu ExecutedInstructions", "do": "garbage"}, "a number was expected"),
        ({"do": "no start"}, "Renode ended at its start: its last words were '.*cannot bind'"),
    ],
)
def test_a_renode_that_breaks_is_a_typed_error(engine, fault, message):
    with pytest.raises(EmulationError, match=message):
        engine(**fault).boot(c(ECHO), TARGET).receive()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"at": "start", "do": "hang"}, "did not finish `start` within 1 s"),
        ({"silent": True}, "did not finish `its start` within 1 s"),
    ],
)
def test_deadlines_end_a_renode_that_hangs(engine, fault, message):
    made = engine(Deadlines(start_s=1.0, command_s=1.0), **fault)
    with pytest.raises(EmulationError, match=message):
        made.boot(c(ECHO), TARGET).receive()
    assert made._idle == []


def test_slow_answers_are_waited_for(engine):
    machine = engine(at="start", do="late").boot(c(ECHO), TARGET)
    exchange(machine)


def test_a_failed_machine_takes_its_process_with_it(engine, temp):
    machine = engine(at="start", do="die").boot(c(ECHO), TARGET)
    with pytest.raises(EmulationError, match="ended"):
        machine.receive()
    machine.close()
    assert list(temp.iterdir()) == []


def test_nothing_is_left_when_the_owner_is_killed(tmp_path, temp):
    script = tmp_path / "owner.py"
    script.write_text(
        "import sys, time\nfrom tests.emulators.test_renode_engine import *\n"
        f"machine = RenodeEngine(program={str(write_fake(tmp_path))!r}, deadlines=QUICK).boot(c(ECHO), TARGET)\n"
        "machine.receive()\nprint(pid_of(machine), flush=True)\ntime.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE)
    pid = int(owner.stdout.readline())
    assert is_alive(pid)
    assert [path.name.startswith("crest-engine-") for path in temp.iterdir()] == [True]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not is_alive(pid) and not list(temp.iterdir()))


def test_code_that_the_models_of_renode_let_through_is_refused(engine):
    with pytest.raises(EmulationError, match="does not exist in ARMv6-M"):
        engine().boot(asm("  b 1f\n  .inst.w 0xfb213002\n1:\n", cpu=M0PLUS), M0_TARGET)
    for code, target, message in (
        (".inst.w 0xee300b00", TARGET, r"'vadd.f64 d0, d0, d0' .*its FPU is single"),
        (".inst.w 0xfe800a00", TARGET, "vmaxnm.f32"),
        ("vadd.f32 s0, s0, s0", NO_FPU, "its FPU is none"),
    ):
        with pytest.raises(EmulationError, match=message):
            engine().boot(asm(f"  b 1f\n  {code}\n1:\n"), target)
    engine().boot(asm("  b 1f\n  vldr d0, [r0]\n  vpush {d8}\n1:\n"), TARGET).close()


# Finding the program.


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without Renode."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CREST_RENODE", raising=False)
    return tmp_path


def test_a_missing_renode_says_where_it_was_looked_for(nowhere):
    with pytest.raises(EmulationError, match="Renode was not found") as caught:
        load_engine("renode")
    for place in ("PATH", str(renode_run_folder()), "crest setup renode", "CREST_RENODE"):
        assert place in caught.value.hint
    with pytest.raises(StudyError, match="has no mode 'fast'"):
        load_engine("renode:fast")
    with pytest.raises(StudyError, match="has no modes"):
        load_engine("unicorn:trace")


def test_option_then_environment_then_path_then_renode_run(nowhere, monkeypatch):
    folders = {}
    for name in ("option", "environment", "bin", "run"):
        folders[name] = nowhere / name
        folders[name].mkdir()
        write_fake(folders[name])
    config = renode_run_folder()
    config.mkdir(parents=True)
    settings = {"version": "2.0", "default": {"dotnet-portable": str(folders["run"])}, "installations": {}}
    (config / "renode-run.json").write_text(json.dumps(settings))
    monkeypatch.setenv("CREST_RENODE", str(folders["environment"]))
    assert find_program(folders["option"]).path.parent == folders["option"]
    assert find_program().path.parent == folders["environment"]
    monkeypatch.delenv("CREST_RENODE")
    assert find_program().path.parent == folders["bin"]
    monkeypatch.setenv("PATH", "")
    assert find_program().path.parent == folders["run"]
    (config / "renode-run.json").write_text("{")
    with pytest.raises(EmulationError, match="not found"):
        find_program()
    (config / "renode-run.path").write_text(f"{folders['run']}\n")
    assert find_program().path.parent == folders["run"]
    with pytest.raises(EmulationError, match="not found") as caught:
        find_program(nowhere / "absent")  # what is named is not replaced by something else
    assert "absent" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "message"),
    [("Renode v1.15.3.1", r"is Renode 1\.15\.3\.1; CREST needs 1\.16\.0"), ("hello", "does not tell its version")],
)
def test_a_wrong_version_is_refused(engine, said, message):
    with pytest.raises(EmulationError, match=message):
        engine(version=said)


def test_a_program_that_never_answers_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "renode"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setattr(renode_program, "_VERSION_TIMEOUT_S", 0.2)
    with pytest.raises(EmulationError, match="does not tell its version"):
        find_program(path)
