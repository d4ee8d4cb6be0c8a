"""The files of a report: complete, well-formed, self-contained, and safe with hostile texts."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console, RenderableType

from crest.errors import LedgerError
from crest.ledger.records import FinishedRecord, HeaderRecord, Record, TrialRecord
from crest.measurement import Estimate, Measurement
from crest.report import front_table, measurement_table, write_report
from crest.report.plot import DARK, LIGHT, front_figure, front_png
from crest.report.view import view_run

VOID = {"meta", "img", "source", "br"}


class Document(HTMLParser):
    """Checks that elements close in order, and collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.seen}


def shown(renderable: RenderableType, width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(renderable)
    return console.export_text()


def ink(png: bytes, colour: str) -> int:
    """Pixels of a colour."""
    wanted = tuple(int(colour[index : index + 2], 16) for index in (1, 3, 5))
    with Image.open(io.BytesIO(png)) as image:
        return sum(count for count, pixel in image.convert("RGB").getcolors(1 << 24) or [] if pixel == wanted)


def test_all_files_are_written(tmp_path: Path, finished: list[Record]) -> None:
    paths = write_report(tmp_path, finished, supply_volt=3.0)
    assert set(paths) == {"front.csv", "front.json", "front.png", "report.html"}
    assert {path.name for path in tmp_path.iterdir()} == set(paths)
    with Image.open(paths["front.png"]) as image:
        image.verify()
        assert image.size[0] >= 600
    before = {name: path.read_bytes() for name, path in paths.items()}
    write_report(tmp_path, finished, supply_volt=3.0)
    assert {name: path.read_bytes() for name, path in paths.items()} == before


def test_csv_and_json_hold_the_front(tmp_path: Path, finished: list[Record]) -> None:
    paths = write_report(tmp_path, finished)
    with paths["front.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["4", "0", "1"]
    first = rows[0]
    assert first["candidate.dilations"] == "1,2,8" and first["price"] == "final"
    assert float(first["energy_per_window_uj_low"]) < float(first["energy_per_window_uj"])
    assert float(first["test.rmse_total"]) == pytest.approx(0.363)
    assert first["flash_bytes"] == str(float(21_344 + 17_220))
    document = json.loads(paths["front.json"].read_text())
    assert document["objectives"] == ["rmse_total", "energy_per_window_uj"]
    assert document["finished"] is True
    member = document["front"][1]
    assert member["number"] == 0 and member["member"]["price_difference_pct"] == 0.4
    assert Measurement.model_validate(member["member"]["measurement"]).golden_pairs_checked == 4


def test_html_is_well_formed_and_asks_for_nothing(tmp_path: Path, finished: list[Record]) -> None:
    text = write_report(tmp_path, finished, supply_volt=3.0)["report.html"].read_text()
    document = Document(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert not document.tags() & {"script", "link", "iframe", "object"}
    for tag, attributes in document.seen:
        source = attributes.get("src") or attributes.get("srcset")
        assert source is None or source.startswith("data:image/png;base64,"), tag
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_html_says_what_it_must(tmp_path: Path, finished: list[Record]) -> None:
    text = Document(write_report(tmp_path, finished, supply_volt=3.0)["report.html"].read_text()).text
    for expected in (
        "7 trials: 3 on the front, 2 dominated, 1 infeasible, 1 failed",
        "1.28 mJ [0.898, 1.86]",
        "block0/conv1",
        "outside of layers",
        "workload buffers",
        "+0.40 %",
        "6,425,600",
        "latency_ms is 512 ms, over 200 ms",
        "latency_ms: 156 % beyond",
        "battery life, 220 mAh",
        "m4 v3",
        "some-board/mcu_rail v1 (3 V dcdc 25 C) d34ed33c",
        "flash wait states are part of the latency interval",
        "torch",
        "minimize:",
    ):
        assert expected in text, expected
    assert "ram_bytes: " not in text.split("Refused candidates")[1].split("How far")[0]


def test_hostile_texts_stay_texts(
    tmp_path: Path, header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord]
) -> None:
    nasty = "<script>alert('x')</script> & [red]bold[/red] </td> $x_{$"
    records: list[Record] = [
        header(run=nasty, versions={nasty: nasty}, study={"policy": {"minimize": ["rmse_total", f"{nasty}_ms"]}}),
        trial(
            0,
            0.4,
            6.4e6,
            candidate={nasty: nasty},
            target=nasty,
            reason=nasty,
            objectives={"rmse_total": 0.4, f"{nasty}_ms": 3.0},
        ),
        trial(1, None, 6.4e7, candidate={nasty: nasty}, reason=nasty, violations={nasty: 1.0}),
    ]
    document = Document(write_report(tmp_path, records)["report.html"].read_text())
    assert "script" not in document.tags()
    assert document.text.count("alert('x')") >= 7
    assert "[red]bold[/red]" in shown(front_table(records))


@pytest.mark.parametrize("complete", [False, True])
def test_an_empty_front_is_no_accident(
    tmp_path: Path, header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord], complete: bool
) -> None:
    records: list[Record] = [header(), trial(0, None, 3e7)]
    if complete:
        records.append(FinishedRecord(trials=1, front=(), reason="budget spent", recorded_at="x", host="y"))
    paths = write_report(tmp_path, records)
    assert "The front is empty" in Document(paths["report.html"].read_text()).text
    assert json.loads(paths["front.json"].read_text())["front"] == []
    header_line = "number,target,quantization,price,rmse_total,energy_per_window_uj\n"
    assert paths["front.csv"].read_text() == header_line
    assert "1 trial: 1 infeasible" in shown(front_table(records))
    assert "Front of this run" in shown(front_table([]))
    write_report(tmp_path, [header()])


def test_without_a_header_there_is_no_report(tmp_path: Path, trial: Callable[..., TrialRecord]) -> None:
    with pytest.raises(LedgerError, match="no header"):
        write_report(tmp_path, [trial(0, 0.4, 6.4e6)])
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error_and_leaves_nothing(tmp_path: Path, finished: list[Record]) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        write_report(tmp_path / "gone", finished)


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, finished: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "front.csv").write_text("old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(LedgerError, match="No space left"):
        write_report(tmp_path, finished)
    assert (tmp_path / "front.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["front.csv"]


def test_the_picture_shows_front_and_dominated(finished: list[Record]) -> None:
    view = view_run(finished)
    light, dark = front_png(view, LIGHT), front_png(view, DARK)
    for png, palette in ((light, LIGHT), (dark, DARK)):
        assert ink(png, palette.background) > 100_000
        assert ink(png, palette.front) > 150
        assert ink(png, palette.dominated) > 30
    alone = [record for record in finished if not isinstance(record, TrialRecord) or record.number in (0, 1, 4)]
    assert ink(front_png(view_run(alone), LIGHT), LIGHT.dominated) < ink(light, LIGHT.dominated)


def test_error_bars_and_axes_are_the_intervals(
    header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord], measurement: Callable[..., Measurement]
) -> None:
    cheap, dear = measurement(2e6), measurement(8e6)
    exact = cheap.energy_per_window_uj.model_copy(update={"low": None, "high": None})
    cheap = cheap.model_copy(update={"energy_per_window_uj": exact})
    records: list[Record] = [header(), trial(0, 0.3, 8e6, price=dear), trial(1, 0.6, 2e6, price=cheap)]
    (axis,) = front_figure(view_run(records)).axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("energy per window (mJ)", "RMSE total")
    (points,) = axis.containers
    assert points.has_xerr and not points.has_yerr
    drawn = {tuple(sorted(segment[:, 0])) for segment in points[2][0].get_segments()}
    ends = dear.energy_per_window_uj
    assert ends.low is not None and ends.high is not None and exact.value is not None
    wanted = {(ends.low / 1e3, ends.high / 1e3), (exact.value / 1e3, exact.value / 1e3)}
    assert sorted(drawn) == [pytest.approx(pair) for pair in sorted(wanted)]


def test_infeasible_trials_are_ticks_at_their_cost(running: list[Record]) -> None:
    (axis,) = front_figure(view_run(running)).axes
    ticks = [line for line in axis.lines if str(line.get_label()).startswith("infeasible (1)")]
    price = next(record for record in running if isinstance(record, TrialRecord) and record.number == 3).price
    assert price is not None and price.energy_per_window_uj.value is not None
    assert list(ticks[0].get_xdata()) == [pytest.approx(price.energy_per_window_uj.value / 1e3)]
    assert axis.get_xscale() == "linear"


def test_a_wide_range_of_costs_is_drawn_on_a_log_axis(
    header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord]
) -> None:
    (axis,) = front_figure(view_run([header(), trial(0, 0.3, 9e7), trial(1, 0.6, 1e6)])).axes
    assert axis.get_xscale() == "log"


def test_what_is_maximized_is_sorted_and_bordered_from_its_best(
    header: Callable[..., HeaderRecord], trial: Callable[..., TrialRecord]
) -> None:
    """rmse_2d plays an accuracy: more of it is worth more energy."""
    policy = {"maximize": ["rmse_2d"], "minimize": ["energy_per_window_uj"]}
    points = {0: (0.3, 1e6), 1: (0.6, 2e6), 2: (0.5, 3e6), 3: (0.9, 4e6)}
    trials = []
    for number, (quality, cycles) in points.items():
        record = trial(number, quality, cycles)
        objectives = {**record.objectives, "rmse_2d": quality}
        trials.append(record.model_copy(update={"objectives": objectives, "metrics": objectives}))
    view = view_run([header(study={"policy": policy}), *trials])
    assert [entry.number for entry in view.front] == [0, 1, 3]
    assert view.is_maximized("rmse_2d") and not view.is_maximized("energy_per_window_uj")
    (axis,) = front_figure(view).axes
    (border,) = [line for line in axis.lines if line.get_drawstyle() == "steps-post"]
    assert list(border.get_xdata()) == [0.9, 0.6, 0.3]
    assert list(border.get_ydata()) == sorted(border.get_ydata(), reverse=True)


@pytest.mark.parametrize("objectives", [["rmse_total"], ["rmse_total", "latency_ms", "flash_bytes"], []])
def test_any_number_of_objectives_can_be_drawn(
    running: list[Record], header: Callable[..., HeaderRecord], objectives: list[str]
) -> None:
    view = view_run([header(study={"policy": {"minimize": objectives}}), *running[1:]])
    with Image.open(io.BytesIO(front_png(view))) as image:
        assert image.size[0] > 600 * max(1, len(objectives) - 1)


def test_measurement_table_by_section(measurement: Callable[..., Measurement]) -> None:
    text = shown(measurement_table(measurement(), [("battery life, [220 mAh]", "4.3 d")]))
    for expected in (
        "100 ms [97.0, 106]",
        "battery life, [220 mAh]",
        "4.3 d",
        "workload buffers",
        "60.0%",
        "781",
        "met",
    ):
        assert expected in text, expected
    bars = {line.split("│")[1].strip(): line.count("█") for line in text.splitlines() if "█" in line}
    assert bars == {"block0/conv1": 12, "block0/add": 2, "dense": 5, "outside of layers": 1}


def test_measurement_table_copes_with_absent_values(measurement: Callable[..., Measurement]) -> None:
    gone = Estimate.absent("no energy model")
    bare = measurement(
        cycles=6.4e6, layers=(), energy_per_inference_uj=gone, energy_per_window_uj=gone, deadline_missed=None
    )
    text = shown(measurement_table(bare))
    assert "no energy model" in text and "not known" in text
    assert "no deadline" in shown(measurement_table(bare.model_copy(update={"schedule": "continuous"})))


def test_a_narrow_terminal_still_shows_every_member(finished: list[Record]) -> None:
    text = shown(front_table(finished), width=80)
    assert all(re.search(rf"│\s+{number} │", text) for number in (4, 0, 1))
