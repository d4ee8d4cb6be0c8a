"""Every target that ships, as Renode sees it: its firmware starts, measures and computes the same on both engines."""

from __future__ import annotations

import re

import pytest

from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators.renode.engine import RenodeEngine
from crest.emulators.renode.machine import Deadlines
from crest.emulators.renode.platform import Platform
from crest.emulators.renode.registers import registers_script
from crest.emulators.unicorn_engine import UnicornEngine
from crest.errors import AssetError
from crest.targets import Peripheral, load_target, target_names
from tests.emulators.conformance.test_conformance import run_program
from tests.emulators.fake_cpu import Script
from tests.emulators.renode_places import real_renode, write_fake
from tests.models_small import dense_model

TARGETS = {name: load_target(name) for name in target_names()}


@pytest.fixture(params=["fake", pytest.param("renode", marks=pytest.mark.renode)])
def engine(request, tmp_path):
    path = write_fake(tmp_path) if request.param == "fake" else real_renode()
    made = RenodeEngine(program=path, deadlines=Deadlines(quiet_s=0.1))
    yield made
    made.close()


@pytest.mark.parametrize("name", TARGETS)
def test_start_up_code_runs_unmodified_and_counts_the_same(engine, name):
    target = TARGETS[name]
    lowered = lower_graph(import_tflite(dense_model(), "dense"), target.core)
    program = build_program(lowered, target, target_toolchain("zig", target))
    (_, full), (_, expected) = (run_program(made, program) for made in (engine, UnicornEngine()))
    assert full.model_copy(update={"engine": ""}) == expected.model_copy(update={"engine": ""})


@pytest.mark.parametrize("name", TARGETS)
def test_the_description_holds_memories_peripherals_and_clock(name, tmp_path):
    target = TARGETS[name]
    text = Platform(target).repl(tmp_path)
    for region in target.regions:
        assert f"Memory.MappedMemory @ sysbus {region.base:#x}\n    size: {region.size_bytes:#x}\n" in text
    assert len(re.findall("^board_", text, re.MULTILINE)) == len(target.regions) + len(target.peripherals)
    assert f"PerformanceInMips: {max(target.clock_mhz):.0f}\n" in text
    assert ("dwt:" in text) == (target.core != "cortex-m0plus")


@pytest.mark.parametrize("capitals", [False, True])
def test_ready_flags_follow_their_enable_bits(capitals):
    peripheral = Peripheral(
        model="registers", base=0, size_bytes=16, registers={0: 0x83, 4: 0xF0},
        follows={0: {16: 17, 2: (8, 31)}}, follows_clear={4: {5: (8, 0)}},
    )  # fmt: skip
    script = Script(registers_script(peripheral), capitals)
    assert [script.read(offset) for offset in (0, 4, 8)] == [0x83, 0xF0, 0]
    script.write(0, 1 << 16 | 1 << 2)
    script.write(4, 0)
    assert [script.read(offset) for offset in (0, 4, 8)] == [1 << 16 | 1 << 17 | 1 << 2, 0, 1 << 31 | 1]
    script.write(2, 0, size=1)
    assert script.read(0) == 1 << 2
    assert script.read(11, size=1) == 0x80


def test_what_renode_has_no_class_for_is_an_error():
    target = TARGETS["nano33ble"]
    uart = target.peripherals[target.uart]
    other = {**target.peripherals, target.uart: uart.model_copy(update={"model": "mystery-uart"})}
    with pytest.raises(AssetError, match="nothing for peripheral 'uarte0' of register model 'mystery-uart'"):
        Platform(target.model_copy(update={"peripherals": other}))
    plain = {**target.peripherals, target.uart: uart.model_copy(update={"model": "registers"})}
    with pytest.raises(AssetError, match="no UART that the engine renode can talk to"):
        Platform(target.model_copy(update={"peripherals": plain}))
