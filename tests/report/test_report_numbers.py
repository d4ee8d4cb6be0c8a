"""How numbers are written, and which trials form the front."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crest.ledger.records import Record, RejectedRecord, TrialRecord
from crest.measurement import Estimate
from crest.report.format import format_estimate, format_value, scale_for, title_of
from crest.report.view import view_run


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("energy_per_window_uj", 12_300.0, "12.3 mJ"),
        ("energy_per_window_uj", 0.45, "450 nJ"),
        ("energy_per_window_uj", 0.0, "0 nJ"),
        ("average_power_uw", 6388.5, "6.39 mW"),
        ("latency_ms", 0.25, "250 µs"),
        ("latency_ms", 265.04, "265 ms"),
        ("latency_ms", 1500.0, "1.50 s"),
        ("flash_bytes", 1023.0, "1,023 B"),
        ("flash_bytes", 38_564.0, "37.7 KiB"),
        ("ram_bytes", 3 * 1024**2, "3.00 MiB"),
        ("battery_life_h", 47.0, "47.0 h"),
        ("battery_life_h", 72.0, "3.00 d"),
        ("battery_life_h", 3 * 8760.0, "3.00 y"),
        ("cycles", 6_400_000.4, "6,400,000"),
        ("accuracy", 0.91234, "0.912"),
        ("rmse_total", -0.00012, "-0.000120"),
        ("rmse_total", 1.5e-9, "1.50e-09"),
        ("rmse_total", 12345.6, "12,346"),
        ("rmse_total", None, "-"),
        ("loss", float("nan"), "nan"),
    ],
)
def test_values_have_three_digits_and_a_unit(name: str, value: float | None, text: str) -> None:
    assert format_value(name, value) == text


def test_an_interval_shares_the_unit_of_its_value() -> None:
    energy = Estimate(value=1200.0, origin="estimated", low=800.0, high=1900.0)
    assert format_estimate("energy_per_inference_uj", energy) == "1.20 mJ [0.800, 1.90]"
    assert format_estimate("cycles", energy) == "1,200 [800, 1,900]"
    assert format_estimate("latency_ms", Estimate.absent("no clock")) == "- (no clock)"


def test_scales_and_titles() -> None:
    assert scale_for("energy_uj", [5.0, 12_000.0]).unit == "mJ"
    assert scale_for("energy_uj", []).unit == "nJ"
    assert title_of("energy_per_window_uj") == "energy per window"
    assert title_of("rmse_total") == "RMSE total"
    assert title_of("h") == "h"


def test_a_running_run_has_the_front_of_what_is_complete(running: list[Record]) -> None:
    view = view_run(running)
    assert [entry.number for entry in view.front] == [4, 0, 1]
    assert {entry.number: entry.status for entry in view.entries} == {
        0: "front",
        1: "front",
        2: "dominated",
        3: "infeasible",
        4: "front",
        5: "dominated",
        6: "failed",
    }


def test_final_prices_decide(running: list[Record], member: Callable[..., Record]) -> None:
    """A member whose final price is far worse leaves the front to what it had dominated."""
    trials = {record.number: record for record in running if isinstance(record, TrialRecord)}
    worse = member(trials[1], difference_pct=20)
    assert {entry.number for entry in view_run([*running, worse]).front} == {4, 0, 1, 5}


def test_rejected_and_violating_members_leave_the_front(running: list[Record], member: Callable[..., Record]) -> None:
    trials = {record.number: record for record in running if isinstance(record, TrialRecord)}
    broken = member(trials[0]).model_copy(update={"violations": {"latency_ms": 0.01}})
    rejected = RejectedRecord(number=4, reason="golden outputs differ", recorded_at="x", host="y")
    view = view_run([*running, broken, rejected])
    status = {entry.number: (entry.status, entry.reason, entry.violations) for entry in view.entries}
    assert status[0] == ("infeasible", None, {"latency_ms": 0.01})
    assert status[4] == ("rejected", "golden outputs differ", {})
    # Trial 2 was dominated by trials 0 and 4 only.
    assert {entry.number for entry in view.front} == {1, 2}
