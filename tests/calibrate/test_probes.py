"""Every probe builds, runs with its checksum checked, and does what it is named for; together they part the events."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.probe_build import build_probe
from crest.calibrate.probe_specs import core_specs, memory_specs
from crest.calibrate.probes import probe_suite, run_probes
from crest.compiler.program import GoldenPair
from crest.compiler.toolchain import CompilerChoice, target_toolchain
from crest.errors import BackendError, CapacityError, StudyError
from crest.targets import load_target, target_names

INSTRUCTIONS = 300_000
ONE_OF_EACH_CORE = ("nucleo-g0b1re", "nucleo-l4r5zi", "disco-f746ng")
MACS = {"mul": 1, "mla": 1, "smlad": 2}
# What a probe without a memory executes most of, and the least share of it.
MAIN_COUNTS = {"alu": ("alu", 0.95), "alu_streamed": ("alu", 0.95), "float": ("fp", 0.95)}


def rows_of(target, **options):
    return run_probes(EmulatedBackend(), probe_suite(load_target(target), instructions=INSTRUCTIONS, **options))


@pytest.fixture(scope="module", params=ONE_OF_EACH_CORE)
def suite(request):
    return load_target(request.param), rows_of(request.param)


def check_claim(row):
    counts = row.counts
    assert counts["instructions"] == pytest.approx(INSTRUCTIONS, rel=0.15)
    kind, _, region = row.name.partition("_")
    if kind in ("load", "store"):
        region = region.removesuffix("_cached")
        assert counts[f"{kind}_{region}"] >= 0.75 * counts["instructions"]
        kinds = [name for name in counts if name.startswith(f"{kind}_")]
        assert counts[f"{kind}_{region}"] >= 0.99 * sum(counts[name] for name in kinds)
    elif row.name in MAIN_COUNTS:
        name, share = MAIN_COUNTS[row.name]
        assert counts[name] >= share * counts["instructions"]
    elif row.name == "mac":
        assert sum(counts.get(name, 0) for name in MACS) >= 0.45 * counts["instructions"]
    else:
        assert row.name == "spin"
        assert counts["branch_taken"] >= 0.33 * counts["instructions"]
    if kind not in ("load", "store"):
        accesses = sum(number for name, number in counts.items() if name.startswith(("load_", "store_")))
        assert accesses < 0.01 * counts["instructions"]


def test_every_probe_does_what_it_is_named_for(suite):
    target, rows = suite
    for row in rows:
        check_claim(row)
        assert (row.group, row.sleep, row.wake_ups, row.macs_by_operator) == ("probe", None, 0, {})
        assert row.clock_mhz == max(target.clock_mhz)
        assert 0.4 < row.run_ms * row.clock_mhz * 1e3 / row.counts["instructions"] < 5


def test_every_memory_is_read_and_every_ram_written(suite):
    target, rows = suite
    names = {row.name for row in rows}
    for region in target.regions:
        assert f"load_{region.name}" in names
        assert (f"store_{region.name}" in names) == (region.kind != "flash")


def test_features_that_the_core_lacks_are_left_out(suite):
    target, rows = suite
    names = {row.name for row in rows}
    assert ("float" in names) == (target.fpu != "none")
    assert ("alu_streamed" in names) == (target.memory_geometry is not None)
    assert {row.fetch_region for row in rows} == {target.code_region, *target.fetch_stall_factor_in}
    assert len({(row.name, row.fetch_region) for row in rows}) == len(rows)


def test_streams_miss_the_caches_that_small_tables_stay_in():
    rows = {row.name: row.counts for row in rows_of("disco-f746ng") if row.fetch_region == "flash"}
    assert rows["load_flash"]["flash_load_misses"] > 0.12 * rows["load_flash"]["load_flash"]
    assert rows["load_flash_cached"].get("flash_load_misses", 0) < 0.001 * rows["load_flash_cached"]["load_flash"]
    assert rows["store_ram"]["ram_store_misses"] > 0.12 * rows["store_ram"]["store_ram"]
    assert rows["store_ram_cached"].get("ram_store_misses", 0) < 0.001 * rows["store_ram_cached"]["store_ram"]
    misses = {name: rows[name].get("fetch_misses_sequential", 0) for name in ("alu", "alu_streamed")}
    assert misses["alu_streamed"] > 100 * misses["alu"]


def event_matrix(target, rows, with_time=False):
    """Events per instruction, and cycles, a row for each probe; every column is scaled to length 1."""
    names = [f"load_{target.code_region}", f"load_{target.data_region}", f"store_{target.data_region}"]
    names += ["fp"] if target.fpu != "none" else []
    matrix = []
    for row in rows:
        macs = sum(row.counts.get(name, 0) * each for name, each in MACS.items())
        events = [row.counts["instructions"], macs, *(row.counts.get(name, 0) for name in names)]
        events += [row.run_ms * row.clock_mhz * 1e3] if with_time else []
        matrix.append(np.array(events) / row.counts["instructions"])
    return np.array(matrix) / np.linalg.norm(matrix, axis=0)


def test_the_counts_tell_the_events_apart(suite):
    target, rows = suite
    for with_time, bound in ((False, 10), (True, 50)):
        matrix = event_matrix(target, rows, with_time)
        assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
        assert np.linalg.cond(matrix) < bound


def test_a_wrong_checksum_is_an_error():
    program = probe_suite(load_target("nano33ble"), instructions=INSTRUCTIONS)[0]
    good = program.golden[-1]
    wrong = GoldenPair(good.inputs, bytes(4))
    with pytest.raises(BackendError, match="spin: wrong output"):
        run_probes(EmulatedBackend(), [replace(program, golden=(wrong,))])


def test_the_checksum_depends_on_how_much_is_done_and_on_the_seed():
    target = load_target("nano33ble")
    toolchain = target_toolchain("zig", target)
    for spec in (*core_specs(target, target.code_region), *memory_specs(target)):
        outputs = set()
        for instructions, seed in ((20_000, 0), (40_000, 0), (20_000, 1)):
            program = build_probe(spec, target, toolchain, target.code_region, instructions, seed)
            assert {len(pair.outputs) for pair in program.golden} == {4}
            outputs.add(program.golden[-1].outputs)
        assert len(outputs) == 3, spec.name


def test_both_compilers_give_the_same_work():
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    ours = rows_of("nucleo-l4r5zi")
    for row, other in zip(ours, rows_of("nucleo-l4r5zi", compiler=CompilerChoice("gcc")), strict=True):
        assert other.name == row.name
        assert other.counts["instructions"] == pytest.approx(row.counts["instructions"], rel=0.01)


def test_a_slower_clock_takes_longer():
    fast, slow = (rows_of("nucleo-g0b1re", clock_mhz=clock) for clock in (64, 16))
    for row, other in zip(fast, slow, strict=True):
        assert (row.clock_mhz, other.clock_mhz) == (64, 16)
        assert row.counts == other.counts
        assert other.run_ms > 2 * row.run_ms


def test_what_does_not_fit_is_left_out():
    target = load_target("nucleo-l4r5zi")
    flash, ram = target.regions
    small, none = (
        target.model_copy(update={"regions": (flash.model_copy(update={"size_bytes": size}), ram)})
        for size in (0x8000, 0x1000)
    )
    names, fewer = ([program.name for program in probe_suite(board)] for board in (target, small))
    assert [name for name in names if name != "alu_streamed"] == fewer
    with pytest.raises(CapacityError, match="no room for any probe"):
        probe_suite(none)


def test_senseless_arguments_are_refused():
    target = load_target("nano33ble")
    with pytest.raises(StudyError, match="no clock of 65"):
        probe_suite(target, clock_mhz=65)
    with pytest.raises(StudyError, match="a probe of 5 instructions"):
        probe_suite(target, instructions=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(target_names()) - set(ONE_OF_EACH_CORE)))
def test_every_target_has_a_suite_that_does_what_it_says(name):
    target, rows = load_target(name), rows_of(name)
    for row in rows:
        check_claim(row)
    assert np.linalg.cond(event_matrix(target, rows)) < 10
    assert np.linalg.cond(event_matrix(target, rows, with_time=True)) < 50
