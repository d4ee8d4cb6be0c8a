"""Placement: where code, weights and arena lie, on a board whose memories are all told apart by the emulator."""

from __future__ import annotations

import shutil

import pytest

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, check_fit, check_static_fit, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.layout import READ_BEHIND_BYTES
from crest.compiler.project import write_c_project
from crest.compiler.toolchain import target_toolchain
from crest.errors import CapacityError, StudyError
from crest.placement import AS_TARGET, Placement, uniform
from crest.targets import Preferences, Region, load_target
from tests.models_small import full_length_tcn, residual_model

BASE = load_target("nano33ble")
# Farther from flash than a branch reaches, so that calls between them go through veneers.
BOARD = BASE.model_copy(
    update={
        "core": "cortex-m7",
        "fpu": "single",
        "regions": (
            *BASE.regions,
            Region(name="itcm", kind="itcm", base=0x1000_0000, size_bytes=0x4000),
            Region(name="dtcm", kind="dtcm", base=0x3000_0000, size_bytes=0x4000),
        ),
        "fetch_stall_factor_in": {"itcm": BASE.fetch_stall_factor},
        "auto_placement": Preferences(code=("itcm",), weights=("dtcm",), arena=("dtcm",)),
    }
)
LOWERED = lower_graph(import_tflite(residual_model(), "small"), "cortex-m7")
LAYERS = [layer for layer, call in enumerate(LOWERED.calls) if call is not None and call.constants]


def build(placement=AS_TARGET, target=BOARD, toolchain="zig", reserved_ram_bytes=0):
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    compiler = target_toolchain(toolchain, target)
    return build_program(LOWERED, target, compiler, placement=placement, reserved_ram_bytes=reserved_ram_bytes)


def use(program, region):
    return next(use for use in program.memory.regions if use.region == region)


def loads(program):
    counts = EmulatedBackend().run(program).profile.total()
    return {name.removeprefix("load_"): count for name, count in counts.items() if name.startswith("load_")}


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_parts_run_where_they_are_placed_on_every_core(core, toolchain):
    target = BOARD.model_copy(update={"core": core, "fpu": "none"})
    placement = Placement(code="itcm", weights="ram", arena="dtcm")
    lowered = lower_graph(import_tflite(residual_model(), "small"), core)
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    program = build_program(lowered, target, target_toolchain(toolchain, target), placement=placement)
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden)
    assert use(program, "itcm").code_bytes == use(program, "itcm").used_bytes > 500
    assert use(program, "dtcm").arena_bytes == use(program, "dtcm").used_bytes == program.memory.arena_bytes
    assert use(program, "ram").weights_bytes == program.memory.weights_bytes
    assert use(program, "flash").weights_bytes == use(program, "flash").code_bytes == 0


def test_loads_of_weights_move_with_them_and_nothing_else_changes():
    there, elsewhere = build(), build(Placement(weights="ram"))
    before, after = loads(there), loads(elsewhere)
    assert before["flash"] - after["flash"] >= there.memory.weights_bytes / 4, "words"
    assert before["flash"] + before["ram"] == after["flash"] + after["ram"]
    assert elsewhere.memory.flash_bytes == there.memory.flash_bytes, "they are still stored in flash"
    assert elsewhere.memory.placed_ram_bytes >= elsewhere.memory.weights_bytes
    assert elsewhere.memory.ram_bytes == there.memory.ram_bytes + elsewhere.memory.placed_ram_bytes


def test_the_default_is_where_the_target_keeps_its_kinds():
    program = build()
    assert use(program, "itcm").used_bytes == use(program, "dtcm").used_bytes == 0
    assert use(program, "flash").weights_bytes == program.memory.weights_bytes
    assert program.memory.placed_ram_bytes == 0
    assert use(program, "flash").used_bytes == program.memory.flash_total_bytes
    assert use(program, "ram").used_bytes == program.memory.ram_total_bytes


def test_auto_takes_the_preferred_regions_while_they_have_room():
    program = build(uniform("auto"))
    assert (program.layout.code, program.layout.arena) == ("itcm", "dtcm")
    assert program.layout.weights == dict.fromkeys(LAYERS, "dtcm")
    assert use(program, "dtcm").weights_bytes == program.memory.weights_bytes
    assert loads(program)["dtcm"] > loads(build())["flash"] / 2


def test_auto_leaves_what_the_target_has_no_preference_for():
    program = build(uniform("auto"), target=BOARD.model_copy(update={"auto_placement": Preferences()}))
    assert program.elf_sha256 == build().elf_sha256


def shrunk(region, size_bytes):
    regions = tuple(r.model_copy(update={"size_bytes": size_bytes}) if r.name == region else r for r in BOARD.regions)
    return BOARD.model_copy(update={"regions": regions})


def test_code_that_does_not_fit_stays():
    assert build(uniform("auto"), target=shrunk("itcm", 0x400)).layout.code == "flash"


def test_an_arena_keeps_off_the_end_of_its_memory_because_kernels_read_behind_it():
    arena_bytes = build().memory.arena_bytes
    for spare_bytes, fits in ((READ_BEHIND_BYTES - 1, False), (2 * READ_BEHIND_BYTES, True)):
        target = shrunk("dtcm", arena_bytes + spare_bytes)
        assert (build(Placement(arena="auto"), target=target).layout.arena == "dtcm") == fits
        if not fits:
            with pytest.raises(CapacityError, match="the arena alone needs"):
                check_static_fit(LOWERED, target, 0, 0, Placement(arena="dtcm"))
            with pytest.raises(CapacityError, match="does not fit"):
                build(Placement(arena="dtcm"), target=target)


def test_weights_go_layer_by_layer_the_most_read_ones_first():
    lowered = lower_graph(import_tflite(full_length_tcn(), "tcn"), "cortex-m7")
    graph, calls = lowered.graph, lowered.calls
    convolutions = [layer for layer, op in enumerate(graph.operators) if op.kind == "CONV_2D"]
    alike = [layer for layer in convolutions if calls[layer].weight_bytes == calls[convolutions[-1]].weight_bytes]
    positions = [graph.tensors[graph.operators[layer].outputs[0]].elements for layer in alike]
    assert positions == sorted(set(positions), reverse=True), "the earlier a layer, the more often it is read"
    target = shrunk("dtcm", 512)
    compiler = target_toolchain("zig", target)
    program = build_program(lowered, target, compiler, placement=Placement(weights="auto"))
    moved = [layer in program.layout.weights for layer in alike]
    assert moved == sorted(moved, reverse=True)
    assert 0 < sum(moved) < len(alike)
    assert use(program, "dtcm").used_bytes <= target.region("dtcm").size_bytes


def test_auto_keeps_to_the_budget_and_leaves_the_reserve_alone():
    there = build().memory
    budget = there.ram_bytes + 1024
    program = build(Placement(code="auto", weights="auto", ram_budget_bytes=budget))
    assert program.layout.code == "flash", "the code alone is larger"
    assert there.ram_bytes < program.memory.ram_bytes <= budget
    assert build(Placement(code="auto", weights="auto", ram_budget_bytes=there.ram_bytes)).layout.code == "flash"
    crowded = BOARD.model_copy(update={"auto_placement": Preferences(weights=("ram",))})
    room = crowded.ram_available_bytes - there.ram_total_bytes
    assert build(Placement(weights="auto"), target=crowded).layout.weights
    assert not build(Placement(weights="auto"), target=crowded, reserved_ram_bytes=room).layout.weights


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement(code="ccm"), "placement: code: nano33ble has no memory region 'ccm'"),
        (Placement(arena="flash"), "placement: arena: flash is flash, and activations are written"),
    ],
)
def test_what_the_board_cannot_do_is_said(placement, message):
    with pytest.raises(StudyError, match=message):
        build(placement)


def test_what_does_not_fit_its_region_is_said():
    with pytest.raises(CapacityError, match="does not fit the dtcm of nano33ble: the arena alone needs"):
        check_static_fit(LOWERED, shrunk("dtcm", 64), 0, 0, Placement(arena="dtcm"))
    with pytest.raises(CapacityError, match="does not fit"):
        build(Placement(code="itcm"), target=shrunk("itcm", 0x400))
    program = build(uniform("auto"))
    free = BOARD.ram_available_bytes - use(program, "ram").used_bytes
    memory = program.memory.beside(flash_reserve_bytes=0, ram_reserve_bytes=free, workload_ram_bytes=0)
    check_fit(memory, BOARD)
    with pytest.raises(CapacityError):
        check_fit(memory.beside(flash_reserve_bytes=0, ram_reserve_bytes=free + 1, workload_ram_bytes=0), BOARD)


def test_the_c_project_says_which_sections_the_price_was_made_with(tmp_path):
    write_c_project(build(uniform("auto")), target_toolchain("zig", BOARD), tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "| code | itcm | `*(.text .text.*)` |" in readme
    assert "| arena | dtcm | `*(.bss.model_arena)` |" in readme
    assert f".rodata.layer{LAYERS[0]}_*" in readme
