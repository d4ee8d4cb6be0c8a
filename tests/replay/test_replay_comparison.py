"""Verdicts, fronts and agreement, on networks placed by hand; the same in CSV, JSON and on the terminal."""

import csv
import io
import json
import random

import pytest
from rich.console import Console

from crest.ledger import ReplayedRecord
from crest.placement import AS_TARGET
from crest.replay import ReplayPlan, Source, compare, replay_csv, replay_json, replay_tables
from crest.replay.comparison import kendall_tau
from crest.replay.plan import ReplayBoard
from crest.replay.source import Network
from crest.report.view import Entry
from crest.schedule import Cadenced
from crest.study import Policy
from crest.targets import load_target
from tests.search.search_stubs import make_plan, measurement

WHEN = {"recorded_at": "2026-01-01T00:00:00+00:00", "host": "here"}
BOARDS = ("nucleo-l4r5zi", "nucleo-g0b1re")
# trial -> error, latency in ms and energy in uJ in the run
NETWORKS = {1: (1.0, 40, 400), 2: (1.5, 20, 200), 3: (1.6, 30, 300), 4: (2.0, 10, 100)}
# On the fast board trial 3 becomes cheaper than trial 2, which trades places with it by energy.
FAST = {1: (20, 390), 2: (11, 250), 3: (10, 160), 4: (5, 90)}
SLOW = {1: "CapacityError: does not fit (take less)", 2: (300, 900), 3: (70, 800), 4: (30, 500)}


def trained(number):
    from crest.ledger import TrialRecord

    error, latency_ms, energy_uj = NETWORKS[number]
    return TrialRecord(
        number=number,
        state="complete",
        candidate={"filters": number, "nested": {"skip": True}},
        quantization="int8",
        target="board",
        price=measurement(latency_ms, energy_uj=energy_uj),
        metrics={"rmse_total": error},
        proxies={"flops": 1e4 * number},
        objectives={"rmse_total": error, "energy_per_window_uj": energy_uj},
        model=f"models/{number}",
        **WHEN,
    )


def record(number, board, found):
    common = {"key": f"{number} {board}", "number": number, "model_sha256": "0", "target": board, "clock_mhz": 64}
    if isinstance(found, str):
        return ReplayedRecord(**common, schedule="s", state="infeasible", reason=found, **WHEN)
    latency_ms, energy_uj = found
    price = measurement(latency_ms, energy_uj=energy_uj, missed=latency_ms > 200)
    return ReplayedRecord(**common, schedule="s", state="priced", measurement=price, profile_key="p", **WHEN)


def comparison(
    minimize=("rmse_total", "energy_per_window_uj"), subject_to=("latency_ms <= 60",), slow=SLOW, policy=None
):
    policy = policy or Policy(minimize=minimize, subject_to=subject_to)
    networks = tuple(Network(Entry(trained(number), None, None, "front"), b"model") for number in NETWORKS)
    source = Source(None, "walk", make_plan().study, "0", networks, ())
    boards = tuple(ReplayBoard(load_target(name).at(None), AS_TARGET) for name in BOARDS)
    plan = ReplayPlan(source, boards, Cadenced(period_ms=200), policy, "energy_per_window_uj")
    found = [[record(n, board, costs[n]) for n in NETWORKS] for board, costs in zip(BOARDS, (FAST, slow), strict=True)]
    return compare(plan, found)


def verdicts(column):
    return {cell.network.number: cell.verdict for cell in column.cells}


def test_each_place_has_its_own_front():
    found = comparison()
    fast, slow = found.boards
    assert verdicts(found.source) == {1: "front", 2: "front", 3: "dominated", 4: "front"}
    assert verdicts(fast) == {1: "front", 2: "front", 3: "front", 4: "front"}
    assert verdicts(slow) == {1: "infeasible", 2: "infeasible", 3: "infeasible", 4: "front"}
    assert found.everywhere == (4,)
    assert found.agreement(fast).shared == (1, 2, 4) and found.agreement(slow).shared == (4,)


def test_every_refusal_has_its_reason():
    reasons = {cell.network.number: cell.reason for cell in comparison().boards[1].cells}
    assert reasons[1].startswith("CapacityError")
    assert reasons[2].startswith("misses the deadline of its schedule") and "latency_ms is 300" in reasons[2]
    assert reasons[3] == "latency_ms is 70, which breaks latency_ms <= 60"
    assert reasons[4] is None


def test_the_policy_of_the_replay_decides_on_the_source_too():
    found = comparison(minimize=("rmse_total", "latency_ms"), subject_to=("latency_ms <= 25",))
    assert verdicts(found.source) == {1: "infeasible", 2: "front", 3: "infeasible", 4: "front"}
    assert verdicts(found.boards[0]) == {1: "front", 2: "front", 3: "front", 4: "front"}


def test_what_a_policy_maximizes_or_derives_decides_on_every_place():
    plain = comparison(minimize=("rmse_total", "latency_ms"), subject_to=())
    derived = Policy.model_validate(
        {
            "maximize": ["quality"],
            "minimize": ["seconds"],
            "derive": {"quality": "1 / rmse_total", "seconds": "latency_ms / 1e3"},
        }
    )
    found = comparison(policy=derived)
    assert [place.front for place in found.places] == [place.front for place in plain.places]
    target = found.boards[0].cells[0]
    assert target.metrics["seconds"] == target.measurement.latency_ms.value / 1e3
    row = next(csv.DictReader(io.StringIO(replay_csv(found))))
    assert float(row["target.seconds"]) == target.metrics["seconds"] and "source.quality" in row
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(replay_tables(found))
    assert "quality" in console.export_text()
    broken = comparison(
        policy=Policy.model_validate({"minimize": ["odd"], "derive": {"odd": "latency_ms / (flops - flops)"}})
    )
    assert {cell.verdict for cell in broken.source.cells} == {"failed"}
    assert "derive.odd: latency_ms / (flops - flops) is not a finite number" in broken.source.cells[0].reason


def test_what_a_board_cannot_tell_is_no_member_of_its_front():
    found = comparison(slow=SLOW | {4: (30, None)})
    cell = found.boards[1].cells[3]
    assert cell.verdict == "failed" and cell.reason == "energy_per_window_uj has no value: no energy model"
    assert found.boards[1].front == () and found.everywhere == ()


def test_rank_correlation_is_over_what_both_have():
    found = comparison()
    fast, slow = (found.agreement(board) for board in found.boards)
    # Of the six pairs of networks, 2 and 3 alone trade places.
    assert fast.compared == 4 and fast.kendall_tau == pytest.approx(4 / 6)
    assert slow.compared == 3 and slow.kendall_tau == pytest.approx(1 / 3)


def test_kendalls_tau_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="compares with scipy")
    rng = random.Random(3)
    for _ in range(20):
        pairs = [(rng.randrange(6), rng.randrange(6)) for _ in range(12)]
        expected = stats.kendalltau(*zip(*pairs, strict=True)).statistic
        assert kendall_tau(pairs) == pytest.approx(expected)
    assert kendall_tau([(1.0, 2.0)]) is None and kendall_tau([(1.0, 2.0), (1.0, 3.0)]) is None


def test_the_csv_has_source_and_target_columns():
    rows = list(csv.DictReader(io.StringIO(replay_csv(comparison()))))
    assert len(rows) == 8 and [row["number"] for row in rows] == ["1", "2", "3", "4"] * 2
    third = rows[2]
    assert third["board"] == "nucleo-l4r5zi 120 MHz"
    assert (third["source.verdict"], third["verdict"], third["source.price"]) == ("dominated", "front", "search")
    assert (third["source.latency_ms"], third["target.latency_ms"]) == ("30.0", "10.0")
    assert (third["candidate.nested.skip"], third["metric.rmse_total"]) == ("True", "1.6")
    assert rows[4]["target.latency_ms"] == "" and rows[4]["source.latency_ms"] == "40.0"
    assert "does not fit" in rows[4]["reason"]


def test_the_json_has_every_measurement():
    document = json.loads(replay_json(comparison()))
    assert document["on_every_front"] == [4] and document["policy"]["subject_to"] == ["latency_ms <= 60"]
    fast, slow = document["boards"]
    assert fast["agreement"]["shared_front"] == [1, 2, 4] and slow["agreement"]["compared"] == 3
    assert slow["networks"][0]["measurement"] is None
    assert fast["networks"][0]["measurement"]["latency_ms"]["value"] == 20


def test_the_tables_show_both_sides_and_the_matrix():
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(replay_tables(comparison()))
    text = console.export_text()
    assert "walk: board 64 MHz, cadenced 200 ms -> nucleo-l4r5zi 120 MHz, cadenced 200 ms deep_sleep" in text
    assert "3 of them on that of the source" in text and "Kendall's tau 0.67" in text
    matrix = text[text.index("* on the front of the board") :]
    assert "does not fit" in matrix and "(800 µJ)" in matrix and "160 µJ *" in matrix
    assert "3 of 3" in matrix and "1 of 3" in matrix and "on every front: 4" in matrix
