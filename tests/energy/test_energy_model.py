"""The energy model: what ships, its equation, and every way a file can be wrong."""

from __future__ import annotations

import copy
import csv
import os
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from crest.assets import asset_path
from crest.energy import EnergyModel, Work, load_energy_model, load_power
from crest.errors import AssetError
from crest.measurement import Estimate
from crest.report.targets import summarise
from crest.schedule import Cadenced, Continuous, characterise
from crest.targets import Target, load_target

DATA = Path(os.environ.get("CREST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target("nano33ble")


GROUNDS = {"confidence": 0.9, "kind": "declared", "source": "this test", "reason": "made up"}


def document() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((asset_path("energy_models") / "nano33ble.yaml").read_text())
    return data


def load_changed(tmp_path: Path, target: Target, change: Any, boundary: Any = "mcu_rail") -> EnergyModel:
    data = copy.deepcopy(document())
    change(data["models"])
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(data))
    return load_energy_model(target, boundary, path)


def test_run_power_is_current_times_volt_times_activity(target: Target) -> None:
    model = load_energy_model(target)
    run = model.states(64, "flash", 3.0).run_power_uw
    assert run.value == pytest.approx(3300 * 3.0 * 1.29)
    assert run.low == pytest.approx(3100 * 3.0)
    assert run.high == pytest.approx(3500 * 3.0 * 1.66)
    assert run.origin == "estimated" and run.confidence == 0.9
    deep = model.states(64, "flash", 3.0).deep_sleep
    assert deep.power_uw.value == pytest.approx(3.16 * 3.0)
    assert deep.wake_up_ms.value == pytest.approx(0.015)


def test_whole_board_reproduces_the_published_inference(target: Target) -> None:
    states = load_energy_model(target, "whole_board").states(64, "flash", 3.0)
    for latency_ms, published_mj in ((265.0, 12.3), (153.0, 7.3)):
        cost = characterise(Estimate(value=latency_ms, origin="measured"), states, Continuous())
        energy = cost.energy_per_inference_uj
        assert energy.value == pytest.approx(published_mj * 1e3, rel=0.04)
        assert energy.low is not None and energy.high is not None
        assert energy.low < published_mj * 1e3 < energy.high
    window = characterise(Estimate(value=50.0, origin="measured"), states, Cadenced(period_ms=200)).energy_per_window_uj
    assert window.value is None and "no published whole-board power" in (window.reason or "")
    assert states.volt is None


@pytest.mark.data
def test_declared_activity_covers_what_silicon_shows(target: Target) -> None:
    """Another Cortex-M4, every published energy run: the declared interval holds all, and the value is no fit."""
    runs_path, idd_path = DATA / "silicon/mlperf/mlperf_tiny_open.csv", DATA / "silicon/power/stm32_pcc_idd_25C.csv"
    if not runs_path.exists() or not idd_path.exists():
        pytest.skip(f"no silicon data in {DATA}")
    with idd_path.open() as file:
        idd_ma = {
            float(row["idd_uA"]) / 1e3
            for row in csv.DictReader(file)
            if row["mcu"] == "STM32L4R5"
            and (row["mode"], row["fetch"], row["fcpu_hz"]) == ("RUN", "FLASH-SingleBank", "120000000")
        }
    (datasheet_ma,) = idd_ma
    with runs_path.open() as file:
        ratios = [
            float(row["avg_current_mA"]) / datasheet_ma
            for row in csv.DictReader(file)
            if row["mcu"].startswith("STM32L4R5") and row["clock_mhz"] == "120.0" and row["avg_current_mA"]
        ]
    factor = load_energy_model(target).run[0].activity_factor
    assert factor is not None and len(ratios) >= 20
    assert factor.low <= min(ratios) and max(ratios) <= factor.high + 1e-9
    assert factor.low < statistics.median(ratios) < factor.high


WORK = Work(latency_ms=2.0, counts={"instructions": 1000, "smlad": 50, "load_flash": 100}, macs={"CONV_2D": 300})


def test_power_follows_the_operators_by_their_share_of_the_work(tmp_path: Path, target: Target) -> None:
    factor = {"value": 0.9, "low": 0.8, "high": 1.0, **GROUNDS}
    model = load_changed(tmp_path, target, _set("operator_factors", value={"FULLY_CONNECTED": factor}))
    plain = model.states(64, "flash", 3.0).run_power_uw
    assert model.states(64, "flash", 3.0, WORK).run_power_uw == plain
    half = WORK._replace(macs={"CONV_2D": 300, "FULLY_CONNECTED": 300, "ADD": 0})
    power = model.states(64, "flash", 3.0, half).run_power_uw
    assert plain.value and plain.low and plain.high
    assert power.value == pytest.approx(plain.value * 0.95)
    assert (power.low, power.high) == pytest.approx((plain.low * 0.9, plain.high))
    assert model.states(64, "flash", 3.0, WORK._replace(macs={})).run_power_uw == plain


def test_events_add_their_energy_whatever_the_clock(tmp_path: Path, target: Target) -> None:
    energies = {
        "smlad": {"value": 10, "low": 8, "high": 12, **GROUNDS},
        "load_flash": {"value": 20, "low": 20, "high": 20, **GROUNDS},
        "div": {"value": 1000, "low": 0, "high": 9000, **GROUNDS},
    }
    model = load_changed(tmp_path, target, _set("event_energy_pj", value=energies))
    bare, power = (model.states(64, "flash", 3.0, work).run_power_uw for work in (None, WORK))
    assert bare.value and power.value and power.low and power.high and bare.low
    # 50 * 10 pJ + 100 * 20 pJ = 2.5 nJ over 2 ms
    assert power.value - bare.value == pytest.approx(2.5e-3 / 2 * 1e3)
    assert power.low - bare.low == pytest.approx((50 * 8 + 100 * 20) * 1e-6 / 2 * 1e3)
    cost = characterise(Estimate(value=2.0, origin="emulated"), model.states(64, "flash", 3.0, WORK), Continuous())
    assert cost.energy_per_inference_uj.value == pytest.approx(bare.value * 2e-3 + 2.5e-3)


def test_a_range_of_supplies_scales_a_current_and_ends_where_it_ends(tmp_path: Path, target: Target) -> None:
    model = load_changed(tmp_path, target, _set("conditions", "volt", value=[1.8, 3.3]))
    low, high = (model.states(64, "flash", volt).run_power_uw.value for volt in (1.8, 3.3))
    assert low and high and high / low == pytest.approx(3.3 / 1.8)
    assert "1.8-3.3 V dcdc" in model.identity
    for volt in (1.7, 3.4, None):
        with pytest.raises(AssetError, match=r"it holds for 1\.8-3\.3 V"):
            model.states(64, "flash", volt)


def test_a_core_whose_clock_runs_on_sleeps_by_its_clock(tmp_path: Path, target: Target) -> None:
    def edit(models: list[dict[str, Any]]) -> None:
        slow = {**copy.deepcopy(models[0]["run"][0]), "clock_mhz": 32}
        models[0]["run"].append(slow)
        current = {"value": 300, "low": 200, "high": 400, **GROUNDS}
        models[0]["sleep"] = [
            {**models[0]["sleep"], "clock_mhz": 64},
            {**models[0]["sleep"], "clock_mhz": 32, "current_ua": current},
        ]

    model = load_changed(tmp_path, target.model_copy(update={"clock_mhz": (32.0, 64.0)}), edit)
    fast, slow = (model.states(clock, "flash", 3.0) for clock in (64, 32))
    assert (fast.sleep.power_uw.value, slow.sleep.power_uw.value) == pytest.approx((590 * 3.0, 300 * 3.0))
    assert fast.deep_sleep == slow.deep_sleep


def test_the_error_of_programs_left_out_is_the_interval_and_ranking_has_its_own(tmp_path: Path, target: Target) -> None:
    def edit(models: list[dict[str, Any]]) -> None:
        models[0]["run"][0]["power_error"] = {"low": 0.8, "high": 1.25, "confidence": 0.9, "reason": "left out"}
        models[0]["candidate_error"] = {"low": 0.95, "high": 1.05, "confidence": 0.9, "reason": "left out"}

    states = load_changed(tmp_path, target, edit).states(64, "flash", 3.0)
    run, own = states.run_power_uw, states.ranking_run_power_uw
    assert run.value and own.value == run.value
    assert (run.low, run.high) == pytest.approx((run.value * 0.8, run.value * 1.25))
    assert (own.low, own.high) == pytest.approx((run.value * 0.95, run.value * 1.05))
    window = Cadenced(period_ms=200, sleep="deep_sleep")
    latency = Estimate(value=50.0, origin="emulated")
    whole, ranking = (characterise(latency, s, window).energy_per_window_uj for s in (states, states.ranking))
    assert whole.low and ranking.low and ranking.high and whole.high
    assert whole.low < ranking.low < ranking.high < whole.high and whole.value == ranking.value
    bare = load_changed(tmp_path, target, _drop("candidate_error")).states(64, "flash", 3.0).ranking.run_power_uw
    assert bare.value is None and "between programs" in (bare.reason or "")


def test_the_whole_interval_is_no_narrower_than_that_between_programs(tmp_path: Path, target: Target) -> None:
    wide = {"low": 0.5, "high": 4.0, "confidence": 0.9, "reason": "left out"}
    states = load_changed(tmp_path, target, _set("candidate_error", value=wide)).states(64, "flash", 3.0)
    assert (states.run_power_uw.low, states.run_power_uw.high) == (
        states.ranking_run_power_uw.low,
        states.ranking_run_power_uw.high,
    )


def test_a_folder_of_models_that_is_none_is_an_error(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREST_ENERGY_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match="there is no folder"):
        load_energy_model(target)
    (tmp_path / "nano33ble.energy.yaml").write_text("models: []")
    monkeypatch.setenv("CREST_ENERGY_MODELS", str(tmp_path))
    summary = summarise(target)
    assert summary.energy_model.quality == "none" and "nano33ble.energy.yaml" in summary.energy_model.origin


def test_what_a_reader_must_know_is_noted(tmp_path: Path, target: Target) -> None:
    model = load_changed(tmp_path, target, _set("domain", value={"fp": {"low": 0, "high": 0.01}}))
    (rests,) = model.notes(64, "flash", WORK)
    assert "datasheet" in rests
    noted = model.notes(64, "flash", WORK._replace(counts={"instructions": 1000, "fp": 200}))
    assert "extrapolated" in noted[1] and "fp per instruction" in noted[1]
    narrowed = {"low": 0.9, "high": 1.1, "confidence": 0.9, "reason": "left out"}
    model = load_changed(tmp_path, target, _set("run", 0, "power_error", value=narrowed))
    assert "a set-up that is not known" in model.notes(64, "flash", WORK)[1]
    published = load_energy_model(target, "whole_board")
    assert published.notes(64, "flash", WORK) == ()


def test_outside_of_its_domain_it_refuses(target: Target, tmp_path: Path) -> None:
    model = load_energy_model(target)
    with pytest.raises(AssetError, match="no run power at 32 MHz") as caught:
        model.states(32, "flash", 3.0)
    assert "64 MHz from flash" in (caught.value.hint or "")
    with pytest.raises(AssetError, match="from ram"):
        model.states(64, "ram", 3.0)
    other = target.model_copy(update={"supply": target.supply.model_copy(update={"volt": 1.8})})
    with pytest.raises(AssetError, match=r"no mcu_rail model for 1\.8 V dcdc"):
        load_energy_model(other)
    other = target.model_copy(update={"supply": target.supply.model_copy(update={"regulator": "ldo"})})
    with pytest.raises(AssetError, match="3 V ldo"):
        load_energy_model(other)
    with pytest.raises(AssetError, match="no energy model"):
        load_energy_model(target.model_copy(update={"name": "unheard-of"}))
    with pytest.raises(AssetError, match="not of 'other'"):
        load_energy_model(target.model_copy(update={"name": "other"}), path=asset_path("energy_models/nano33ble.yaml"))


def test_a_board_may_arrive_before_its_energy_model(target: Target, tmp_path: Path) -> None:
    bare = target.model_copy(update={"name": "bare"})
    power = load_power(bare, 64)
    assert (power.model, power.states.volt) == ("none", 3.0)
    latency = Estimate(value=2.0, origin="emulated")
    for schedule in (Continuous(), Cadenced(period_ms=200)):
        costs = characterise(latency, power.states, schedule)
        for estimate in (costs.energy_per_inference_uj, costs.energy_per_window_uj, costs.average_power_uw):
            assert estimate.value is None and estimate.reason == "no energy model"
    assert load_power(target, 64).model == load_energy_model(target).identity


def test_a_malformed_model_is_no_absent_one(target: Target, tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text(
        (asset_path("emulation") / "targets" / "nano33ble.yaml").read_text().replace("name: nano33ble", "name: bare")
    )
    bare = load_target(str(tmp_path / "bare.yaml"))
    assert load_power(bare, 64).model == "none"
    (tmp_path / "bare.energy.yaml").write_text("models: []")
    with pytest.raises(AssetError, match=r"bare\.energy\.yaml: models"):
        load_power(bare, 64)
    with pytest.raises(AssetError, match="no run power at 32 MHz"):
        load_power(target, 32)


def test_identity_names_conditions_and_follows_every_coefficient(target: Target, tmp_path: Path) -> None:
    model = load_energy_model(target)
    assert model.identity.startswith("nano33ble/mcu_rail v1 (3 V dcdc 25 C) ")
    assert load_energy_model(target).identity == model.identity
    assert load_energy_model(target, "whole_board").identity.startswith("nano33ble/whole_board v1 (supply not stated)")

    def edit(models: list[dict[str, Any]]) -> None:
        models[0]["deep_sleep"]["current_ua"]["high"] = 4.5

    assert load_changed(tmp_path, target, edit).identity != model.identity


def _set(*path: Any, value: Any) -> Any:
    def change(models: Any) -> None:
        place = models[0]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def _drop(*path: Any) -> Any:
    def change(models: Any) -> None:
        place = models[0]
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("run", 0, "current_ua", "low", value=4000), "lies outside of"),
        (_set("run", 0, "current_ua", "value", value=-1), "current_ua.value"),
        (_set("run", 0, "current_ua", "value", value=float("inf")), "current_ua.value"),
        (_set("run", 0, "current_ua", "kind", value="guess"), "current_ua.kind"),
        (_set("run", 0, "current_ua", "confidence", value=1.5), "confidence"),
        (_drop("run", 0, "current_ua", "source"), "missing key 'models.0.run.0.current_ua.source'"),
        (_drop("run", 0, "current_ua"), "either current_ua or power_uw"),
        (_set("run", 0, "curent_ua", value=1), "did you mean 'current_ua'"),
        (_set("run", 0, "fetch_region", value="qspi"), "'qspi' is no region"),
        (_set("run", 0, "clock_mhz", value=32), "no clock of 32 MHz"),
        (_drop("deep_sleep"), "deep_sleep is either given or named in not_modelled"),
        (_set("not_modelled", value={"sleep": "because"}), "sleep is either given"),
        (_set("deep_sleep", "current_ua", "high", value=9000), "more than running does"),
        (_set("conditions", "volt", value=None), "unknown condition needs a reason"),
        (_set("conditions", value={"volt": None, "regulator": "dcdc", "temperature_c": 25, "reason": "lost"}), "volt"),
        (_set("target", value="elsewhere"), "one target"),
        (lambda models: models.append(models[0]), "share boundary"),
        (_set("run", 0, "current_ua", value={"value": 3.3, "low": 3.1, "high": 3.5, **GROUNDS}), "current_ua is in uA"),
        (
            _set("operator_factors", value={"CONV_2D": {"value": 0.3, "low": 0.01, "high": 1, **GROUNDS}}),
            "than running does",
        ),
        (_set("domain", value={"fp": {"low": 0.9, "high": 0.1}}), "lies above"),
        (_set("run", 0, "current_ua", "high", value=1e300), "current_ua.high"),
        (_set("conditions", "temperature_c", value=float("nan")), "temperature_c"),
        (_set("conditions", "volt", value=3300), "no supply of a microcontroller"),
        (_set("conditions", "volt", value=[3.3, 1.8]), "no supply of a microcontroller"),
        (_set("event_energy_pj", value={"smald": {"value": 1, "low": 1, "high": 1, **GROUNDS}}), "no count 'smald'"),
        (_set("domain", value={"load_qspi": {"low": 0, "high": 1}}), "no count 'load_qspi'"),
        (_set("run", 0, "current_ua", "kind", value="fit"), "needs data and residual"),
        (
            _set("run", 0, "power_error", value={"low": 1.1, "high": 1.2, "confidence": 0.9, "reason": "odd"}),
            "power_error.low",
        ),
        (lambda models: models[0]["run"].append(models[0]["run"][0]), "share their clock"),
        (_set("sleep", "clock_mhz", value=32), "sleep is given once, or once for each clock_mhz of run"),
        (lambda models: models[0].update(sleep=[models[0]["sleep"]] * 2), "sleep is given once, or once for each"),
        (lambda models: models.clear(), "models"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_place(
    tmp_path: Path, target: Target, change: Any, message: str
) -> None:
    with pytest.raises(AssetError) as caught:
        load_changed(tmp_path, target, change)
    assert message in caught.value.message
    assert str(tmp_path / "model.yaml") in caught.value.message
