"""Firmware: both compilers, memory by owner, a stack bound that holds, a C project that compiles on its own."""

from __future__ import annotations

import io
import shutil
from xml.etree import ElementTree

import pytest
from elftools.elf.elffile import ELFFile

from crest.assets import asset_path
from crest.backends.emulated import EmulatedBackend, MachineTransport
from crest.backends.session import check_golden_outputs, open_session
from crest.compiler.build import build_program, check_fit, check_static_fit, lower_graph
from crest.compiler.host import HostModel
from crest.compiler.importer import import_tflite
from crest.compiler.program import GoldenPair
from crest.compiler.project import write_c_project
from crest.compiler.stack import stack_bound_bytes
from crest.compiler.toolchain import target_toolchain
from crest.emulators import load_engine
from crest.errors import BackendError, CapacityError
from crest.targets import load_target
from tests.models_small import dense_model, residual_model

TARGET = load_target("nano33ble")
STACK_FILL = 0xA5


def build(model=None, toolchain="zig"):
    graph = import_tflite(model or residual_model(), "small")
    return build_program(lower_graph(graph), TARGET, target_toolchain(toolchain, TARGET))


def test_the_same_input_gives_the_same_elf():
    assert build().elf_sha256 == build().elf_sha256


def test_memory_is_told_apart_by_owner():
    program = build(dense_model(depth=300, units=40))
    memory = program.memory
    assert memory.weights_bytes == 300 * 40 + 4 * 40
    assert 500 < memory.code_bytes < 4000
    assert memory.arena_bytes == program.arena.size_bytes >= memory.arena_lower_bound_bytes == 300 + 40
    assert memory.flash_total_bytes == memory.weights_bytes + memory.code_bytes + memory.flash_harness_bytes
    assert memory.flash_bytes == memory.weights_bytes + memory.code_bytes
    assert memory.ram_total_bytes > memory.arena_bytes + memory.stack_bytes + memory.ram_harness_bytes


def test_owners_do_not_depend_on_where_the_cache_lies(tmp_path, monkeypatch):
    before = build().memory
    monkeypatch.setenv("CREST_CACHE", str(tmp_path / "harness_cache"))
    assert build().memory == before


def test_boards_of_a_family_share_what_lies_around_their_folders():
    boards = asset_path("firmware", "boards")
    assert TARGET.board_folders == (boards / "nano33ble",)
    inner = TARGET.model_copy(update={"firmware_board": "stm32/nucleo-f446re"})
    assert inner.board_folders == (boards / "stm32" / "nucleo-f446re", boards / "stm32")


def test_a_cached_object_follows_the_headers_of_the_family(tmp_path, monkeypatch):
    monkeypatch.setenv("CREST_CACHE", str(tmp_path / "cache"))
    family, board = tmp_path / "family", tmp_path / "family" / "board"
    board.mkdir(parents=True)
    (board / "harness_board.c").write_text('#include "family.h"\nint answer(void) { return ANSWER; }\n')
    toolchain = target_toolchain("zig", TARGET)
    objects = []
    for value in (1, 2, 1):
        (family / "family.h").write_text(f"#define ANSWER {value}\nint answer(void);\n")
        objects.append(toolchain.compile_cached(board / "harness_board.c", [board, family]))
    assert objects[0] == objects[2] != objects[1]


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_both_compilers_give_firmware_that_runs_and_a_stack_bound_that_holds(toolchain):
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    program = build(toolchain=toolchain)
    machine = load_engine("unicorn").boot(program.elf, TARGET)
    assert check_golden_outputs(open_session(MachineTransport(machine), program), program) == len(program.golden)
    stack = machine.read_ram(TARGET.ram.end - 4096, 4096)
    used = 4096 - next(i for i, byte in enumerate(stack) if byte != STACK_FILL)
    machine.close()
    bound = stack_bound_bytes(ELFFile(io.BytesIO(program.elf)), "Reset_Handler")
    assert program.memory.stack_bytes < bound
    assert 0.3 * bound < used <= bound


def test_a_wrong_output_is_an_error_and_names_the_byte():
    program = build()
    pair = program.golden[0]
    wrong = GoldenPair(pair.inputs, bytes([pair.outputs[0] ^ 1]) + pair.outputs[1:])
    object.__setattr__(program, "golden", (wrong,))
    with pytest.raises(BackendError, match="wrong output for golden input 0: byte 0 is"):
        EmulatedBackend().run(program)


def test_what_does_not_fit_is_refused_before_the_compiler_runs():
    lowered = lower_graph(import_tflite(dense_model(), "small"))
    check_static_fit(lowered, TARGET, 0, 0)
    with pytest.raises(CapacityError, match="RAM of nano33ble: arena, buffers and reserve alone need"):
        check_static_fit(lowered, TARGET, 0, TARGET.ram_available_bytes)
    with pytest.raises(CapacityError, match="flash of nano33ble"):
        check_static_fit(lowered, TARGET, TARGET.flash_available_bytes, 0)
    memory = build(dense_model()).memory
    room = TARGET.ram_available_bytes - memory.ram_total_bytes
    fits = memory.beside(flash_reserve_bytes=0, ram_reserve_bytes=room, workload_ram_bytes=0)
    check_fit(fits, TARGET)
    with pytest.raises(CapacityError):
        check_fit(fits.beside(flash_reserve_bytes=0, ram_reserve_bytes=room + 1, workload_ram_bytes=0), TARGET)


def test_the_c_project_compiles_on_its_own(tmp_path):
    program, toolchain = build(), target_toolchain("zig", TARGET)
    write_c_project(program, toolchain, tmp_path)
    for source in sorted([*tmp_path.glob("*.c"), *tmp_path.glob("nn/*.c")]):
        assert "SPDX-License-Identifier" in source.read_text().splitlines()[0]
        toolchain.compile(source, source.with_suffix(".o"), [tmp_path, tmp_path / "nn"])
    assert "crest_layer_mark" not in (tmp_path / "model.c").read_text()
    assert toolchain.identity in (tmp_path / "README.md").read_text()
    cmake = (tmp_path / "CMakeLists.txt").read_text()
    options = next(line for line in cmake.splitlines() if line.startswith("target_compile_options"))
    assert {"-O2", "-ffp-contract=off"} <= set(options.rstrip(")").split())
    assert all(flag in cmake for flag in toolchain.flags)


def test_the_c_project_shows_its_arena(tmp_path):
    program = build()
    write_c_project(program, target_toolchain("zig", TARGET), tmp_path)
    drawing = ElementTree.parse(tmp_path / "arena.svg").getroot()
    boxes = drawing.findall("{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == len(program.arena.buffers)
    for box, buffer in zip(boxes, program.arena.buffers, strict=True):
        assert f"{buffer.size_bytes} bytes at {buffer.offset_bytes}" in box[0].text
        # Addresses grow upwards from the baseline at 360, 320 pixels for the whole arena.
        bottom = float(box.get("y")) + float(box.get("height"))
        assert bottom == pytest.approx(360 - 320 * buffer.offset_bytes / program.arena.size_bytes, abs=0.2)
    readme = (tmp_path / "README.md").read_text()
    assert "](arena.svg)" in readme
    assert f"no plan needs less than {program.arena.lower_bound_bytes} | {program.arena.size_bytes} |" in readme


def test_the_host_library_runs_many_inputs_as_it_runs_one():
    lowered = lower_graph(import_tflite(residual_model(), "small"))
    data = bytes(range(120)) * 5
    with HostModel(lowered.graph, lowered.sources) as host:
        one_by_one = b"".join(host.run_bytes(data[at : at + 120]) for at in range(0, len(data), 120))
        assert host.run_bytes(data) == one_by_one


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_the_elf_tells_nothing_of_the_machine_that_built_it(toolchain):
    """Else its hash, which is in every record, would depend on where CREST is installed."""
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    elf = build(toolchain=toolchain).elf
    assert len(elf) < 32_768
    assert str(asset_path("firmware")).encode() not in elf
    for trace in (b"ziglang", b".debug_", b"/tmp", b"/home", b"crest-build"):
        assert trace not in elf, trace


@pytest.mark.parametrize(("core", "fpu"), [("cortex-m0plus", "none"), ("cortex-m7", "double"), ("cortex-m7", "none")])
@pytest.mark.parametrize("model", [residual_model(), dense_model(depth=64, units=9)], ids=["residual", "dense"])
def test_kernels_give_the_same_outputs_on_every_core(core, fpu, model):
    """The board around them is the M4's; the core, its instructions and its compiler flags are not."""
    target = TARGET.model_copy(update={"core": core, "fpu": fpu})
    lowered = lower_graph(import_tflite(model, "small"), target.core)
    program = build_program(lowered, target, target_toolchain("zig", target))
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden)
    assert record.profile.core == core
    assert ("smlad" in record.profile.total()) == (core == "cortex-m7")
    assert ("dual_issued" in record.profile.total()) == (core == "cortex-m7")
