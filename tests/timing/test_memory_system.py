"""The memory system of a board: terms by hand, where they do not hold, what a fit finds, what the file claims."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from crest.assets import asset_path
from crest.emulators.profile import ExecutionProfile, LayerProfile
from crest.errors import AssetError
from crest.targets import load_target
from crest.timing import CycleModel, load_cycle_model
from crest.timing.fitting import Rows, cross_validate, fit_terms, learning_curve, leave_kinds_out, predict
from crest.timing.memory_system import MemoryTiming, load_memory_timing
from crest.timing.model import load_core_timing
from crest.yaml_io import validate
from tests.conftest import ROOT

BOARD = load_target("nucleo-f446re")
SHIPPED = yaml.safe_load(asset_path("emulation", "memories", "nucleo-f446re.yaml").read_text())
MEMORY = validate(
    {
        **SHIPPED,
        "terms": [
            {"count": "flash_load_misses", "cycles": 9, "low": 8, "high": 10, "origin": "fit", "meaning": "a line"},
            {"count": "smlal", "cycles": 6, "low": 6, "high": 6, "origin": "document", "meaning": "a product"},
        ],
        "candidate_error": {"low": 0.9, "high": 1.2, "confidence": 0.9, "reason": "x"},
        "common_error": {"low": 0.5, "high": 2.0, "confidence": 0.8, "reason": "x"},
        "domain": {"flash_load_misses": [0, 0.05], "smlal": [0, 0.2]},
    },
    MemoryTiming,
    "here",
    AssetError,
)
MODEL = CycleModel(load_core_timing("cortex-m4"), BOARD.fetch_stall_factor, MEMORY)
INSIDE = {"instructions": 1000, "flash_load_misses": 20, "smlal": 100, "flash_load_line_changes": 50}
WAITS = 20 * 9 + 100 * 6


def profile(counts):
    half = {name: number // 2 for name, number in counts.items()}
    return ExecutionProfile(
        engine="test", core="cortex-m4", overhead=half, layers=(LayerProfile(index=0, counts=half),)
    )


def test_events_add_their_cycles_and_errors_widen_the_total_but_not_the_ranking():
    total = MODEL.total_cycles(profile(INSIDE))
    cycles = 1000 + WAITS
    assert (total.low, total.value, total.high) == pytest.approx((cycles * 0.45, cycles, cycles * 2.4))
    assert total.confidence == 0.8
    ranking = MODEL.ranking_cycles(profile(INSIDE))
    assert (ranking.low, ranking.value, ranking.high) == pytest.approx((cycles * 0.9, cycles, cycles * 1.2))
    assert MODEL.layer_cycles(profile(INSIDE)) == [pytest.approx(cycles / 2)]
    assert MODEL.notes(profile(INSIDE)) == ()


def test_a_program_outside_of_the_domain_is_not_extrapolated_and_its_interval_spans_both_models():
    outside = {**INSIDE, "flash_load_misses": 200}
    total, factor = MODEL.total_cycles(profile(outside)), BOARD.fetch_stall_factor
    assert total.value == pytest.approx(1000 * factor.value)
    assert (total.low, total.high) == pytest.approx((1000 * factor.low, (1000 + 200 * 9 + 600) * 2.4))
    assert MODEL.layer_cycles(profile(outside)) == [pytest.approx(500 * factor.value)]
    assert "(flash_load_misses per instruction)" in MODEL.notes(profile(outside))[0]
    own = factor.candidate_error
    assert own is not None and MODEL.ranking_cycles(profile(outside)).low == pytest.approx(total.value * own.low)


def test_a_profile_without_memory_events_takes_the_stall_factor_and_says_so():
    blind = {"instructions": 1000, "smlal": 100}
    assert MODEL.total_cycles(profile(blind)).value == pytest.approx(1000 * BOARD.fetch_stall_factor.value)
    assert "does not count flash_load_misses" in MODEL.notes(profile(blind))[0]


def test_only_code_in_the_region_that_was_measured_has_these_waits():
    assert "memories v" in load_cycle_model(BOARD).identity
    other = BOARD.model_copy(update={"fetch_stall_factor_in": {"ram": BOARD.fetch_stall_factor}})
    assert "stalls x" in load_cycle_model(other, "ram").identity


def test_declared_waits_have_ends_and_the_uncertainty_of_the_core_is_kept():
    timing, factor = load_core_timing("cortex-m7"), BOARD.fetch_stall_factor
    term = {"count": "flash_load_misses", "cycles": 10, "low": 5, "high": 20, "origin": "declared", "meaning": "a line"}
    exact = {"low": 1, "high": 1, "confidence": 0.9, "reason": "x"}
    change = {"terms": [term], "candidate_error": exact, "common_error": exact, "domain": {}}
    memory = validate({**SHIPPED, **change}, MemoryTiming, "here", AssetError)
    counts = {"instructions": 1000, "flash_load_misses": 20}
    m7 = ExecutionProfile(engine="test", core="cortex-m7", overhead=counts, layers=())
    total, own = CycleModel(timing, factor, memory).total_cycles(m7), timing.uncertainty
    assert (total.low, total.value, total.high) == pytest.approx(
        (1000 * own.low + 100, 1000 + 200, 1000 * own.high + 400)
    )


@pytest.mark.parametrize("name", ["disco-f746ng", "nucleo-h7a3zi", "portenta-h7", "rp2040-pico"])
def test_waits_that_were_not_fitted_hold_for_code_in_every_memory(name):
    board = load_target(name)
    for region in (board.code_region, *board.fetch_stall_factor_in):
        assert "memories v" in load_cycle_model(board, region).identity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": [{**SHIPPED["terms"][0], "count": "flash_misses"}]}, "no such count.*flash_misses"),
        ({"terms": [{**SHIPPED["terms"][0], "low": 99}]}, "cycles 8.979 lie outside"),
        ({"terms": []}, "terms"),
        ({"domian": {}}, "did you mean 'domain'"),
    ],
)
def test_a_malformed_file_is_an_error(change, message):
    with pytest.raises(AssetError, match=message):
        validate({**SHIPPED, **change}, MemoryTiming, "board.yaml", AssetError)


def test_a_file_of_another_board_is_an_error(tmp_path):
    text = (
        asset_path("emulation", "targets", "nucleo-f446re.yaml").read_text().replace("name: nucleo-f446re", "name: x")
    )
    (tmp_path / "x.yaml").write_text(text)
    target = load_target(str(tmp_path / "x.yaml"))
    assert load_memory_timing(target) is None
    (tmp_path / "x.memory.yaml").write_text(yaml.safe_dump(SHIPPED))
    with pytest.raises(AssetError, match="of 'nucleo-f446re', not of 'x'"):
        load_memory_timing(target)
    (tmp_path / "x.memory.yaml").write_text(yaml.safe_dump({**SHIPPED, "target": "x"}))
    assert load_memory_timing(target) is not None


def test_documented_terms_hold_for_any_program():
    """Nothing was fitted on the STM32L4R5, so nothing is extrapolated, whatever the mix of instructions."""
    board = load_target("nucleo-l4r5zi")
    memory, model = load_memory_timing(board), load_cycle_model(board)
    assert {term.origin for term in memory.terms} == {"document"}
    counts = {"instructions": 1000, "flash_load_misses": 900, "fetch_misses_branch": 10, "fetch_misses_sequential": 4}
    assert model.total_cycles(profile(counts)).value == pytest.approx(1000 + 900 * 5 + 10 * 5 + 4 * 3)
    assert model.notes(profile(counts)) == ()
    assert model.ranking_cycles(profile(counts)).low is not None


def synthetic(noise, seed=0, programs=200):
    rng = np.random.default_rng(seed)
    core = rng.uniform(1e4, 1e6, programs)
    counts = core[:, None] * rng.uniform(0, 0.05, (programs, 3))
    true = np.array([7.0, 0.0, 2.5])
    measured = (core + counts @ true) * rng.normal(1, noise, programs)
    return Rows(counts, core, measured, rng.choice(["a", "b", "c"], programs)), true


def test_a_fit_finds_known_terms_none_below_zero():
    rows, true = synthetic(noise=0)
    assert fit_terms(rows) == pytest.approx(true, abs=1e-6)
    assert predict(rows, true) == pytest.approx(rows.measured_cycles)
    rows, true = synthetic(noise=0.02)
    assert fit_terms(rows) == pytest.approx(true, abs=0.3)
    assert (fit_terms(rows) >= 0).all()


def test_validation_sees_what_a_fit_on_all_rows_hides():
    rows, _ = synthetic(noise=0.02)
    validation = cross_validate(rows, folds=5, seed=1)
    assert np.median(validation.errors) == pytest.approx(0.0135, abs=0.004)
    assert validation.terms.shape == (5, 3)
    rows.measured_cycles[rows.kinds == "a"] *= 1.5
    errors = leave_kinds_out(rows)
    assert set(errors) == {"a", "b", "c"}
    assert np.median(errors["a"]) > 0.25
    curve = learning_curve(synthetic(noise=0.02)[0], (3, 100), draws=5, seed=0)
    assert curve[100][1] < curve[3][1]


@pytest.mark.data
def test_the_shipped_terms_are_what_the_published_cycles_give(data_folder, monkeypatch):
    if not (data_folder / "silicon" / "profiles").is_dir():
        pytest.skip(f"no silicon measurements in {data_folder}")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("CREST_DATA", str(data_folder))
    from _silicon import single_layers

    memory = load_memory_timing(BOARD)
    rows, counts = single_layers(tuple(term.count for term in memory.terms))
    assert fit_terms(rows) == pytest.approx([term.cycles for term in memory.terms], abs=0.001)
    assert not any(memory.outside(one) for one in counts)
    validation = cross_validate(rows, folds=5, seed=0)
    assert 100 * np.median(validation.errors) <= 0.5
    assert 100 * np.percentile(validation.errors, 90) <= 1.5
    inside = (memory.candidate_error.low <= validation.ratios) & (validation.ratios <= memory.candidate_error.high)
    assert np.mean(inside) == pytest.approx(memory.candidate_error.confidence, abs=0.02)
    kinds = [100 * np.median(errors) for errors in leave_kinds_out(rows).values()]
    assert (np.median(kinds), max(kinds)) == pytest.approx((0.64, 1.63), abs=0.05)


@pytest.mark.data
def test_documented_terms_beside_whole_networks_on_silicon(data_folder, monkeypatch):
    if not (data_folder / "silicon" / "profiles").is_dir():
        pytest.skip(f"no silicon measurements in {data_folder}")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("CREST_DATA", str(data_folder))
    from _silicon import by_half_lines, counts_of, table

    memory, core = load_memory_timing(load_target("nucleo-l4r5zi")), load_core_timing("cortex-m4")
    # Submissions that repeat these networks, with the same latencies, name the mode of the flash.
    dual_bank_ms = [
        float(row["latency_ms_median_from_windows"])
        for row in table("mlperf/mlperf_tiny_open.csv")
        if row["framework"] == "microTVM" and "Dual Bank" in row["notes"]
    ]
    over = {}
    for row in table("profiles/open_l4r5.csv"):
        counts, cycles = by_half_lines(counts_of(row)), float(row["silicon_cycles"])
        over[row["model"]] = cycles / (core.cycles(counts) + memory.waits(counts))
        assert min(abs(cycles / memory.clock_mhz / 1e3 - one) for one in dual_bank_ms) < 0.001
    assert over == pytest.approx({"kws": 0.979, "ad": 1.060}, abs=0.001)
    assert all(memory.candidate_error.low <= ratio <= memory.candidate_error.high for ratio in over.values())
