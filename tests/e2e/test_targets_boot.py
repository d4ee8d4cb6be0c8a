"""Start-up code of every target, as it is flashed: it comes up in the emulator, and answers with the right outputs."""

from __future__ import annotations

import shutil

import pytest

from crest.backends.emulated import EmulatedBackend, MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators.unicorn_engine import UnicornEngine
from crest.errors import EmulationError
from crest.placement import AS_TARGET, uniform
from crest.targets import load_target, target_names
from tests.models_small import dense_model, residual_model

STM32 = [name for name in target_names() if load_target(name).mcu.startswith("STM32")]
RCC_CR, PLLON = 0x00, 24
# Start-up takes some thousand blocks; nothing else of these tests does.
GUARD_BLOCKS = 200_000


def build(target, toolchain, model, placement=AS_TARGET):
    lowered = lower_graph(import_tflite(model, "small"), target.core)
    return build_program(lowered, target, target_toolchain(toolchain, target), placement=placement)


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize(
    ("name", "clock_mhz"), [(name, mhz) for name in target_names() for mhz in load_target(name).clock_mhz]
)
def test_a_model_boots_answers_and_computes(name, clock_mhz, toolchain):
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    target = load_target(name).at(clock_mhz)
    program = build(target, toolchain, residual_model())
    machine = UnicornEngine(GUARD_BLOCKS).boot(program.elf, target)
    session = open_session(MachineTransport(machine), program)
    assert session.hello().clock_hz == clock_mhz * 1e6
    machine.close()
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden)
    assert record.profile.total()["instructions"] > 1000


@pytest.mark.parametrize("name", [name for name in target_names() if load_target(name).auto_placement.code])
def test_parts_run_in_the_memories_that_the_target_prefers(name):
    target = load_target(name)
    program = build(target, "zig", residual_model(), uniform("auto"))
    preferred, layout = target.auto_placement, program.layout
    assert layout.code in preferred.code
    assert layout.weights and set(layout.weights.values()) <= set(preferred.weights)
    assert layout.arena in (preferred.arena or (target.data_region,))
    assert EmulatedBackend().run(program).golden_pairs_checked == len(program.golden)


@pytest.mark.parametrize("name", STM32)
def test_a_pll_that_never_locks_ends_in_an_error_that_says_where(name):
    target = load_target(name)
    program = build(target, "zig", dense_model())
    rcc = target.peripherals["rcc"]
    bits = {bit: flag for bit, flag in rcc.follows[RCC_CR].items() if bit != PLLON}
    dead = rcc.model_copy(update={"follows": {**rcc.follows, RCC_CR: bits}})
    broken = target.model_copy(update={"peripherals": {**target.peripherals, "rcc": dead}})
    machine = UnicornEngine(GUARD_BLOCKS).boot(program.elf, broken)
    with pytest.raises(EmulationError, match=r"\((board_init|start_clock|Reset_Handler)[+\w]*\).*an endless loop\?"):
        machine.receive()
    machine.close()
