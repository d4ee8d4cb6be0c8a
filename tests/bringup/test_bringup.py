"""A board of the user's: scaffolded, checked, priced; every way it can be wrong is named with its place."""

from __future__ import annotations

import pytest

from crest.backends.emulated import EmulatedBackend
from crest.bringup import lint_target, scaffold_target
from crest.errors import AssetError, OutputError, StudyError
from crest.pricing import Conditions, Pricing, Reserve
from crest.schedule import Continuous
from crest.targets import load_target, target_names

TODOS = "sources.facts.0, description, fetch_stall_factor.reason"


@pytest.fixture
def board(tmp_path):
    """A scaffold with everything written that a scaffold leaves open."""
    file, _ = scaffold_target("my-board", "nano33ble", tmp_path)
    file.write_text(file.read_text().replace("TODO", "Done"))
    return file


def findings(file):
    return {finding.check: finding for finding in lint_target(file)}


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("origin", target_names())
def test_every_target_that_ships_can_be_started_from(tmp_path, origin):
    file, folder = scaffold_target("my-board", origin, tmp_path)
    target, shipped = load_target(str(file)), load_target(origin)
    ours = {"name", "description", "firmware_board", "sources", "fetch_stall_factor", "fetch_stall_factor_in"}
    assert target.model_dump(exclude=ours) == shipped.model_dump(exclude=ours)
    assert target.board_folders == (folder.resolve(),) != shipped.board_folders
    found = findings(file)
    assert {name for name, finding in found.items() if not finding.passed} == {"sources"}
    elsewhere = [f"fetch_stall_factor_in.{name}.reason" for name in shipped.fetch_stall_factor_in]
    assert ", ".join([TODOS, *elsewhere]) in found["sources"].text
    assert "answers HELLO" in found["emulator"].text


@pytest.mark.parametrize("name", target_names())
def test_every_target_that_ships_passes_its_own_lint(name):
    # The energy model is found by the name alone; a path would make it a target of the user's.
    found = findings(name)
    assert all(finding.passed for finding in found.values()), found


def test_a_finished_board_passes(board):
    assert all(finding.passed for finding in lint_target(board))


def test_names_and_files_that_cannot_be(tmp_path, board):
    for name, words in (("a b", "cannot name"), ("../x", "cannot name"), ("nano33ble", "ships with CREST")):
        with pytest.raises(StudyError, match=words):
            scaffold_target(name, "nano33ble", tmp_path)
    with pytest.raises(StudyError, match="did you mean 'nano33ble'"):
        scaffold_target("other", "nano33", tmp_path)
    with pytest.raises(OutputError, match=r"my-board\.yaml: exists already"):
        scaffold_target("my-board", "nano33ble", tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        scaffold_target("other", "nano33ble", board)
    again, _ = scaffold_target("other", str(board), tmp_path)
    assert load_target(str(again)).name == "other"


@pytest.mark.parametrize(
    ("old", "new", "check", "words"),
    [
        ("core: cortex-m4", "core: cortex-m3", "target file", "core: "),
        ("name: my-board", "name: ../my-board", "target file", "name: "),
        ("base: 0x20000000", "base: 0x000F0000", "target file", "'ram' at 0x000f0000 lies inside region 'flash'"),
        ("name: ram", "name: flash", "target file", "there are 2 regions named 'flash'"),
        ("base: 0x50000000", "base: 0x40002800", "target file", "peripheral 'gpio' at 0x40002800 lies inside"),
        ("base: 0x50000000", "base: 0x20001000", "target file", "peripheral 'gpio' at 0x20001000 lies inside region"),
        ("firmware_board: my-board", "firmware_board: none", "target file", "there is no folder"),
        ("size_bytes: 0x40000", "size_bytes: 0x3fff0", "emulator", "region ram is not made of 4096-byte pages"),
        ("model: nrf-uarte", "model: nrf-uart", "emulator", "unknown register model 'nrf-uart'"),
        ("clock_mhz: [64]", "clock_mhz: [1e308]", "target file", "clock_mhz.0"),
        ("clock_mhz: [64]", "clock_mhz: [128]", "emulator", "says 64 MHz, the target file 128"),
        ("0: {0: [0x100, 0]}, ", "", "emulator", "(board_init"),
        ("  clock: {", "  # {", "emulator", "0x40000000"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_named(board, old, new, check, words):
    edit(board, old, new)
    failed = [finding for finding in lint_target(board) if not finding.passed]
    assert [finding.check for finding in failed] == [check]
    assert words in failed[0].text


@pytest.mark.parametrize(
    ("old", "new", "check", "words"),
    [
        ("board_init(void) {", "board_init(void) { int unused;", "firmware folder", "unused"),
        ("board_init(void) {", "board_start(void) {", "emulator", "board_init"),
        ("board_init(void) {", "board_init(void) { *(volatile int *)0x48000000 = 1;", "emulator", "0x48000000"),
        ("UARTE_ENABLE = UARTE_ON;", "", "emulator", "ENABLE is not 8"),
    ],
)
def test_what_is_wrong_with_the_firmware_is_named(board, old, new, check, words):
    edit(board.parent / "my-board" / "harness_board.c", old, new)
    failed = [finding for finding in lint_target(board) if not finding.passed]
    assert check in [finding.check for finding in failed]
    assert any(words in finding.text for finding in failed)


def test_files_of_the_board_folder(board):
    folder = board.parent / "my-board"
    (folder / "harness_timer.c").unlink()
    source = folder / "harness_board.c"
    source.rename(folder / "board.c")
    assert "board.c: a file of the board is named harness_" in findings(board)["firmware folder"].text
    (folder / "board.c").unlink()
    found = findings(board)
    assert "holds no C file" in found["firmware folder"].text and "emulator" not in found


def test_a_malformed_energy_model_beside_the_target(board):
    (board.parent / "my-board.energy.yaml").write_text("models: 3")
    assert "my-board.energy.yaml" in findings(board)["energy model"].text


def test_caches_and_prices_follow_the_sources_of_the_user(board):
    def key():
        target = load_target(str(board))
        conditions = Conditions(target, Continuous(), Reserve(), max(target.clock_mhz))
        return Pricing(conditions, EmulatedBackend()).key("the same graph")

    source = board.parent / "my-board" / "harness_board.c"
    before = key()
    edit(source, '#include "board.h"', '#include "board.h"\n#include "pins.h"')
    (source.parent / "pins.h").write_text("#define HERTZ 64000000u\n")
    edit(source, "return 64000000u;", "return HERTZ;")
    changed = key()
    assert changed != before and all(finding.passed for finding in lint_target(board))
    (source.parent / "pins.h").write_text("#define HERTZ 32000000u\n")
    assert key() not in (before, changed)
    assert "says 32 MHz" in findings(board)["emulator"].text, "an object of the old header was linked"


def test_a_folder_beside_the_file_wins_over_one_that_ships(board):
    edit(board, "firmware_board: my-board", "firmware_board: nano33ble")
    shipped = load_target("nano33ble").board_folders
    assert load_target(str(board)).board_folders == shipped
    (board.parent / "my-board").rename(board.parent / "nano33ble")
    assert load_target(str(board)).board_folders == ((board.parent / "nano33ble").resolve(),)
    (board.parent / "nano33ble").rename(board.parent / "elsewhere")
    edit(board, "firmware_board: nano33ble", "firmware_board: gone")
    with pytest.raises(AssetError, match=r"there is no folder .*gone nor "):
        load_target(str(board))
