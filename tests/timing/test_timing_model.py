"""The cycle model: arithmetic by hand, what it refuses, and its claims against cycles measured on silicon."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import yaml

from crest.assets import asset_path
from crest.emulators.profile import ExecutionProfile, LayerProfile
from crest.errors import AssetError
from crest.targets import Target, load_target
from crest.timing import CoreTiming, load_cycle_model
from crest.timing.model import load_core_timing
from crest.yaml_io import validate

TARGET = load_target("nano33ble")
CORE = yaml.safe_load(asset_path("emulation", "cores", "cortex-m4.yaml").read_text())
TIMING = validate(CORE, CoreTiming, "cortex-m4.yaml", AssetError)
LAYER = {"instructions": 100, "ld": 20, "ld_first": 12, "ld_pipe": 5, "ld_after_st": 3, "branch_taken": 4, "div": 1}
OVERHEAD = {"instructions": 10, "ldm": 1, "ldm_words": 4, "stm": 1, "stm_words": 3, "ldrd": 2, "strd": 1}


def profile(core="cortex-m4"):
    return ExecutionProfile(engine="test", core=core, overhead=OVERHEAD, layers=(LayerProfile(index=3, counts=LAYER),))


def test_cycles_by_hand():
    # LDR 2 unless behind a load, taken branch 1 + 2, DIV 6
    assert TIMING.cycles(LAYER) == 100 + 12 + 3 + 4 * 2 + 5
    # LDM and STM 1 + N, LDRD and STRD 3
    assert TIMING.cycles(OVERHEAD) == 10 + 4 + 3 + 2 * 2 + 2
    assert TIMING.cycles({}) == 0
    assert TIMING.cycles({"instructions": 9, "unaligned_ram": 3, "unaligned_flash": 1, "load_ram": 7}) == 9 + 4


def test_layers_and_total_carry_the_stall_factor_and_its_interval():
    model = load_cycle_model(TARGET)
    factor = TARGET.fetch_stall_factor
    assert model.layer_cycles(profile()) == [pytest.approx(128 * factor.value)]
    total = model.total_cycles(profile())
    assert total.origin == "emulated"
    assert total.confidence == factor.confidence
    assert (total.low, total.value, total.high) == pytest.approx(
        (151 * factor.low, 151 * factor.value, 151 * factor.high)
    )
    assert total.low < total.value < total.high


def test_identity_changes_with_what_changes_the_cycles():
    other = TARGET.fetch_stall_factor.model_copy(update={"value": 1.2})
    assert load_cycle_model(TARGET).identity.startswith("cortex-m4 v")
    changed = TARGET.model_copy(update={"fetch_stall_factor": other})
    assert load_cycle_model(changed).identity != load_cycle_model(TARGET).identity


def test_a_core_without_timing_is_named():
    with pytest.raises(AssetError, match="'cortex-m33' has no instruction timing"):
        load_cycle_model(TARGET.model_copy(update={"core": "cortex-m33"}))


def test_cortex_m0plus_by_the_table():
    timing = load_core_timing("cortex-m0plus")
    # MULS and ADDS 1, LDR and STR 2, B taken 2 and not taken 1
    counts = {"instructions": 20, "mul": 5, "ld": 4, "ld_first": 4, "st": 2, "branch_taken": 3, "branch_not_taken": 1}
    assert timing.cycles(counts) == 20 + 4 + 2 + 3
    # a call BL 3, PUSH of 3 words 1 + 3, POP of 3 words with the program counter 3 + 3
    call = {
        "instructions": 3,
        "call": 1,
        "branch_taken": 2,
        "stm": 1,
        "stm_words": 3,
        "ldm": 1,
        "ldm_words": 3,
        "pc_loads": 1,
    }
    assert timing.cycles(call) == 3 + (1 + 3) + (3 + 3)
    # BX 2, MSR and DSB 3
    assert timing.cycles({"instructions": 3, "bx": 1, "branch_taken": 1, "sys": 2}) == 2 + 3 + 3


def test_a_small_multiplier_takes_32_cycles():
    m0plus = TARGET.model_copy(update={"core": "cortex-m0plus", "fpu": "none"})
    counts = {"instructions": 20, "mul": 5}
    profiled = ExecutionProfile(engine="test", core="cortex-m0plus", overhead=counts, layers=())
    fast, small = (
        load_cycle_model(m0plus.model_copy(update={"multiplier_cycles": cycles})).total_cycles(profiled).value
        for cycles in (1, 32)
    )
    assert small - fast == pytest.approx(5 * 31 * TARGET.fetch_stall_factor.value)
    text = yaml.safe_load(asset_path("emulation", "targets", "nano33ble.yaml").read_text())
    with pytest.raises(AssetError, match="a cortex-m4 multiplies in one cycle"):
        validate({**text, "multiplier_cycles": 32}, Target, "mine.yaml", AssetError)


def test_cortex_m7_by_the_rules():
    timing = load_core_timing("cortex-m7")
    counts = {
        "instructions": 100,
        "dual_issued": 30,
        "issue_waits": 7,
        "branch_taken": 9,
        "branch_not_taken": 5,
        "mispredicted": 4,
        "mispredicted_early": 1,
        "div": 1,
    }
    assert timing.cycles(counts) == 100 - 30 + 7 + 4 * 8 - 2 + 6
    assert timing.cycles({"instructions": 1, "unaligned_ram": 1}) == 1 + 3
    assert "Not validated" in timing.validation


def test_the_uncertainty_of_a_core_widens_the_interval_of_the_cycles():
    target = TARGET.model_copy(update={"core": "cortex-m7"})
    own, factor = load_core_timing("cortex-m7").uncertainty, target.fetch_stall_factor
    total = load_cycle_model(target).total_cycles(profile("cortex-m7"))
    core = load_core_timing("cortex-m7").cycles(profile("cortex-m7").total())
    assert (total.low, total.value, total.high) == pytest.approx(
        (core * own.low * factor.low, core * factor.value, core * own.high * factor.high)
    )
    assert total.confidence == min(own.confidence, factor.confidence)


def test_a_profile_of_another_core_is_refused():
    model = load_cycle_model(TARGET)
    for ask in (model.total_cycles, model.layer_cycles):
        with pytest.raises(AssetError, match="profile of cortex-m0plus"):
            ask(profile("cortex-m0plus"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"added_cycles": {"ld_frist": {"cycles": 1, "source": "x"}}}, "no such counts.*ld_frist"),
        ({"added_cycles": {"ld_first": {"cycles": -1, "source": "x"}}}, "added_cycles.ld_first.cycles"),
        ({"added_cycles": {"ld_first": {"cycles": 1, "source": ""}}}, "source"),
        ({"added_cycles": {"ld_first": {"cycles": 1}}}, "missing key"),
        ({"saved_cycles": {"dual_isued": {"cycles": 1, "source": "x"}}}, "no such counts.*dual_isued"),
        ({"uncertainty": {"low": 1.1, "high": 1.2, "confidence": 0.9, "reason": "x"}}, "uncertainty.low"),
        ({"domian": "x"}, "did you mean 'domain'"),
    ],
)
def test_a_malformed_core_file_is_an_error(change, message):
    with pytest.raises(AssetError, match=message):
        validate({**CORE, **change}, CoreTiming, "core.yaml", AssetError)


# Columns of the published profiles that are named otherwise here.
_COLUMNS = {"instr": "instructions", "br_taken": "branch_taken", "i_ldrd": "ldrd", "i_strd": "strd", "i_div": "div"}


def ratios(path, measured, key):
    """Silicon cycles over the sum of the core's timing, by the value of a column."""
    found: dict[str, list[float]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            counts = {_COLUMNS.get(k, k): int(v) for k, v in row.items() if v and v.lstrip("-").isdigit()}
            assert set(TIMING.added_cycles) <= set(counts)
            counts["unaligned_data"] = sum(counts.get(column, 0) for column in ("UA_H", "UA_W1", "UA_W2"))
            found.setdefault(row[key], []).append(float(row[measured]) / TIMING.cycles(counts))
    return found


@pytest.mark.data
def test_what_the_files_claim_about_silicon(data_folder):
    profiles = data_folder / "silicon" / "profiles"
    if not profiles.is_dir():
        pytest.skip(f"no {profiles}")
    f446 = ratios(profiles / "open_f446.csv", "op_cycles", "op")
    l4r5 = ratios(profiles / "open_l4r5.csv", "silicon_cycles", "model")
    assert len(f446["CONV_2D"]) == 948
    assert np.median(f446["CONV_2D"]) == pytest.approx(1.24, abs=0.01)
    assert np.percentile(f446["CONV_2D"], [5, 95]) == pytest.approx([1.17, 1.31], abs=0.01)
    assert min(f446["CONV_2D"]) == pytest.approx(1.13, abs=0.01)
    assert (min(f446["ADD"]), max(f446["ADD"])) == pytest.approx((1.38, 1.41), abs=0.01)
    assert l4r5["kws"] == pytest.approx([1.12], abs=0.01)
    assert l4r5["ad"] == pytest.approx([1.28], abs=0.01)
    # No stall can make it faster than the core: the sum must be a lower bound on silicon.
    everything = np.array([r for group in (*f446.values(), *l4r5.values()) for r in group])
    assert everything.min() > 1
    factor = TARGET.fetch_stall_factor
    inside = np.mean((everything >= factor.low) & (everything <= factor.high))
    assert inside >= factor.confidence
