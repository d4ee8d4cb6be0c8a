"""A run of several clocks: each point of the front with its clock, each trial counted once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from crest.ledger.records import (
    FinishedRecord,
    HeaderRecord,
    MemberRecord,
    Outcome,
    Record,
    RejectedRecord,
    TrialRecord,
)
from crest.measurement import Estimate, Measurement
from crest.report import front_table
from crest.report.export import front_csv, front_json
from crest.report.html import render_html
from crest.report.plot import front_figure
from crest.report.rows import counts_text
from crest.report.view import view_run

OBJECTIVES = ["rmse_total", "energy_per_window_uj", "latency_ms"]


@pytest.fixture
def outcome(measurement: Callable[..., Measurement]) -> Callable[..., Outcome]:
    def build(rmse: float, clock_mhz: float, latency_ms: float, energy_uj: float, late: float = -0.5) -> Outcome:
        price = measurement(
            clock_mhz=clock_mhz,
            latency_ms=Estimate(value=latency_ms, origin="emulated"),
            energy_per_window_uj=Estimate(value=energy_uj, origin="estimated"),
        )
        objectives = {"rmse_total": rmse, "energy_per_window_uj": energy_uj, "latency_ms": latency_ms}
        return Outcome(state="complete", price=price, objectives=objectives, violations={"latency_ms <= 200": late})

    return build


@pytest.fixture
def clocked(
    header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord], outcome: Callable[..., Outcome]
) -> list[Record]:
    """Trial 0 is on the front at 16 and 80 MHz, late at 4; trial 1 at 80 alone; trial 2 is late at both."""
    policy = {"minimize": OBJECTIVES, "subject_to": ["latency_ms <= 200"]}
    points = {
        0: [outcome(0.4, 16, 50, 100), outcome(0.4, 80, 10, 150), outcome(0.4, 4, 300, 90, late=0.5)],
        1: [outcome(0.5, 80, 5, 70), outcome(0.5, 16, 60, 120)],
        2: [outcome(0.3, 80, 210, 70, late=0.05), outcome(0.3, 16, 900, 50, late=3.5)],
    }
    records: list[Record] = [header(study={"policy": policy})]
    for number, (first, *others) in points.items():
        alone = trial(number, first.objectives["rmse_total"], 6.4e6).model_copy(update=dict(first))
        records.append(alone.model_copy(update={"alternatives": tuple(others)}))
    return records


def shown(records: list[Record]) -> str:
    console = Console(width=160, file=io.StringIO(), record=True, color_system=None)
    console.print(front_table(records))
    return console.export_text()


def test_points_are_listed_and_trials_counted(clocked: list[Record]) -> None:
    view = view_run(clocked)
    points = [(entry.number, entry.clock_text, entry.status) for entry in view.entries]
    assert points == [
        (0, "16 MHz", "front"),
        (0, "80 MHz", "front"),
        (1, "80 MHz", "front"),
        (1, "16 MHz", "dominated"),
        (2, "80 MHz", "infeasible"),
    ]
    assert counts_text(view) == "3 trials: 2 on the front, 1 infeasible"
    assert view_run([type(r).model_validate_json(r.model_dump_json()) for r in clocked]) == view


def test_every_form_of_the_front_tells_the_clock(clocked: list[Record]) -> None:
    view = view_run(clocked)
    rows = list(csv.DictReader(io.StringIO(front_csv(view))))
    assert [(row["number"], row["clock_mhz"]) for row in rows] == [("0", "16.0"), ("0", "80.0"), ("1", "80.0")]
    assert [row["latency_ms"] for row in rows] == ["50.0", "10.0", "5.0"]
    document = json.loads(front_json(view))["front"]
    assert [(entry["number"], entry["clock_mhz"]) for entry in document] == [(0, 16.0), (0, 80.0), (1, 80.0)]
    assert all(entry["trial"]["price"]["clock_mhz"] == entry["clock_mhz"] for entry in document)
    text = shown(clocked)
    assert text.count("trial 0: int8") == 1 and text.count("16 MHz") == 1 and text.count("80 MHz") == 2
    html = render_html(view)
    assert "Trial 0 at 16 MHz" in html and "Trial 0 at 80 MHz" in html
    refused = html.split("Refused candidates")[1]
    assert refused.count("80 MHz") == 1 and "16 MHz" not in refused


def test_each_clock_has_a_marker(clocked: list[Record]) -> None:
    energy, latency = front_figure(view_run(clocked)).axes
    for axis in (energy, latency):
        drawn = {container.get_label(): container[0] for container in axis.containers}
        assert set(drawn) == {"dominated (1)", "front at 16 MHz (1)", "front at 80 MHz (2)"}
        assert drawn["front at 16 MHz (1)"].get_marker() != drawn["front at 80 MHz (2)"].get_marker()
    assert list(drawn["front at 80 MHz (2)"].get_xdata()) == [10.0, 5.0]


def test_a_finished_run_has_the_recorded_points(
    clocked: list[Record], member: Callable[..., MemberRecord], outcome: Callable[..., Outcome]
) -> None:
    trial = next(record for record in clocked if isinstance(record, TrialRecord))
    worse = outcome(0.4, 80, 12, 160)
    final = member(trial.points[1]).model_copy(update={"measurement": worse.price, "objectives": worse.objectives})
    end = FinishedRecord(trials=3, front=(0, 1), clocks_mhz=(80.0, 80.0), reason="x", recorded_at="x", host="y")
    view = view_run([*clocked, final, end])
    assert [(e.number, e.clock_text, e.member is not None) for e in view.front] == [
        (0, "80 MHz", True),
        (1, "80 MHz", False),
    ]
    assert view.front[0].value("latency_ms") == 12


def test_a_rejected_trial_is_refused_once(clocked: list[Record]) -> None:
    gone = RejectedRecord(number=0, reason="golden outputs differ", recorded_at="x", host="y")
    view = view_run([*clocked, gone])
    assert [entry.clock_text for entry in view.entries if entry.status == "rejected"] == ["16 MHz"]
    assert counts_text(view) == "3 trials: 1 on the front, 1 infeasible, 1 rejected"
