"""A synthetic run: plausible records of a small odometry search, built by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crest.ledger.records import FinishedRecord, HeaderRecord, MemberRecord, Record, TrainingSummary, TrialRecord
from crest.measurement import Estimate, LayerCost, Measurement, MemoryReport

NASTY = "<script>alert('x')</script> & [red]bold[/red]"


def build_measurement(cycles: float = 6.4e6, **changes: Any) -> Measurement:
    def scaled(value: float, below: float, above: float) -> Estimate:
        return Estimate(value=value, origin="estimated", low=value * below, high=value * above, confidence=0.9)

    latency_ms = cycles / 64e3
    layers = (
        LayerCost(
            index=0,
            name="block0/conv1",
            operator="CONV_2D",
            macs=1_200_000,
            instructions=3_100_000,
            cycles=cycles * 0.6,
        ),
        LayerCost(index=1, name="block0/add", operator="ADD", macs=0, instructions=20_000, cycles=cycles * 0.1),
        LayerCost(
            index=2, name="dense", operator="FULLY_CONNECTED", macs=2_048, instructions=9_000, cycles=cycles * 0.25
        ),
    )
    memory = MemoryReport(
        weights_bytes=21_344,
        code_bytes=17_220,
        flash_harness_bytes=9_876,
        flash_total_bytes=48_440,
        arena_bytes=12_288,
        arena_lower_bound_bytes=11_904,
        static_ram_bytes=512,
        stack_bytes=1_480,
        workload_ram_bytes=8_000,
        ram_reserve_bytes=4_096,
        ram_harness_bytes=2_048,
        ram_total_bytes=16_328,
    )
    fields: dict[str, Any] = {
        "target": "some-board",
        "backend": "emulated (unicorn 2.1.4)",
        "schedule": "cadenced 200 ms deep_sleep",
        "clock_mhz": 64.0,
        "elf_sha256": "ab" * 32,
        "toolchain": "zig cc 0.17.1 -O3",
        "timing_model": "m4 v3",
        "energy_model": "some-board/mcu_rail v1 (3 V dcdc 25 C) d34ed33c",
        "golden_pairs_checked": 4,
        "memory": memory,
        "layers": layers,
        "instructions": 3_200_000,
        "cycles": Estimate(value=cycles, origin="emulated", low=cycles * 0.97, high=cycles * 1.06, confidence=0.9),
        "latency_ms": Estimate(
            value=latency_ms, origin="emulated", low=latency_ms * 0.97, high=latency_ms * 1.06, confidence=0.9
        ),
        "energy_per_inference_uj": scaled(latency_ms * 12.77, 0.7, 1.45),
        "energy_per_window_uj": scaled(latency_ms * 12.77 + 0.5, 0.7, 1.45),
        "average_power_uw": scaled((latency_ms * 12.77 + 0.5) * 5, 0.7, 1.45),
        "duty_cycle": scaled(min(latency_ms / 200, 0.6), 0.97, 1.06),
        "deadline_missed": False,
        "notes": ("flash wait states are part of the latency interval",),
    }
    return Measurement(**(fields | changes))


def build_header(**changes: Any) -> HeaderRecord:
    study = {
        "name": "walk",
        "workload": {"odometry": {"source": "generated"}},
        "policy": {"minimize": ["rmse_total", "energy_per_window_uj"], "subject_to": ["latency_ms <= 200"]},
        "battery_mah": 220.0,
    }
    fields: dict[str, Any] = {
        "run": "walk",
        "study": study,
        "study_sha256": "cd" * 32,
        "study_folder": "studies",
        "workload_fingerprint": "ef" * 32,
        "versions": {"crest": "0.1.0", "torch": "2.13.0"},
        "recorded_at": "2026-11-23T09:00:00Z",
        "host": "bench",
    }
    return HeaderRecord(**(fields | changes))


def build_trial(number: int, rmse: float | None, cycles: float, **changes: Any) -> TrialRecord:
    price = build_measurement(cycles)
    energy = price.energy_per_window_uj.value
    fields: dict[str, Any] = {
        "number": number,
        "state": "infeasible" if rmse is None else "complete",
        "candidate": {"nb_filters": 4 + number, "dilations": [1, 2, 8], "dropout": 0.1},
        "quantization": "int8",
        "target": "some-board",
        "price": price,
        "metrics": {} if rmse is None else {"rmse_total": rmse, "rmse_2d": rmse * 0.72},
        "objectives": {"energy_per_window_uj": energy} | ({} if rmse is None else {"rmse_total": rmse}),
        "training": None
        if rmse is None
        else TrainingSummary(epochs=12, seed=1, parameters=5_321, validation_loss=(0.5, 0.3)),
        "recorded_at": "2026-11-23T09:01:00Z",
        "host": "bench",
    }
    if rmse is None:
        fields |= {"reason": "latency_ms is 512 ms, over 200 ms", "violations": {"latency_ms": 1.56, "ram_bytes": -0.5}}
    return TrialRecord(**(fields | changes))


def build_member(trial: TrialRecord, difference_pct: float = 0.4) -> MemberRecord:
    assert trial.price is not None and trial.price.cycles.value is not None
    final = build_measurement(trial.price.cycles.value * (1 + difference_pct / 100))
    return MemberRecord(
        number=trial.number,
        measurement=final,
        metrics=trial.metrics,
        test_metrics={"rmse_total": trial.metrics["rmse_total"] * 1.1},
        objectives=trial.objectives | {"energy_per_window_uj": final.metrics()["energy_per_window_uj"]},
        price_difference_pct=difference_pct,
        profile_key="ab" * 32,
        files={"tflite": f"front/{trial.number}/model.tflite", "elf": f"front/{trial.number}/model.elf"},
        recorded_at="2026-11-23T09:09:00Z",
        host="bench",
    )


def build_trials() -> list[TrialRecord]:
    return [
        build_trial(0, 0.42, 6.4e6),
        build_trial(1, 0.61, 2.1e6),
        build_trial(2, 0.55, 7.0e6),
        build_trial(3, None, 3.3e7),
        build_trial(4, 0.33, 1.15e7),
        build_trial(5, 0.80, 2.2e6),
        TrialRecord(
            number=6,
            state="failed",
            reason=f"conversion failed {NASTY}",
            candidate={"note": NASTY},
            quantization="int8",
            target="some-board",
            recorded_at="2026-11-23T09:02:00Z",
            host="bench",
        ),
    ]


@pytest.fixture
def running() -> list[Record]:
    return [build_header(), *build_trials()]


@pytest.fixture
def finished(running: list[Record]) -> list[Record]:
    by_number = {record.number: record for record in running if isinstance(record, TrialRecord)}
    front = (4, 0, 1)
    members = [build_member(by_number[number]) for number in front]
    end = FinishedRecord(
        trials=7, front=front, reason="every trial is done", recorded_at="2026-11-23T09:10:00Z", host="bench"
    )
    return [*running, *members, end]


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    return build_measurement


@pytest.fixture
def header() -> Callable[..., HeaderRecord]:
    return build_header


@pytest.fixture
def trial() -> Callable[..., TrialRecord]:
    return build_trial


@pytest.fixture
def member() -> Callable[..., MemberRecord]:
    return build_member
