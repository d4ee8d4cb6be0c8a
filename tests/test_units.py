"""A quantity in the wrong unit is refused, with the key and the number to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from crest.errors import StudyError
from crest.frozen import Frozen
from crest.study import parse_study
from crest.units import converted, same_quantity
from crest.yaml_io import validate

STUDY = {
    "name": "walk",
    "workload": {"odometry": {"source": "generated"}},
    "model": {"family": "tcn"},
    "targets": "nano33ble",
    "policy": {"minimize": ["rmse_total"]},
}


@pytest.mark.parametrize(
    ("cadenced", "place", "instead"),
    [
        ({"period_s": 0.2}, "schedule.cadenced.period_s", "period_ms: 200"),
        ({"period_us": 200_000}, "schedule.cadenced.period_us", "period_ms: 200"),
        ({"wake_margin_us": 250}, "schedule.cadenced.wake_margin_us", "wake_margin_ms: 0.25"),
        ({"sampling": {"power_mw": 0.5, "reason": "x"}}, "schedule.cadenced.sampling.power_mw", "power_uw: 500"),
        ({"sampling": {"power_uw": 5, "reason": "x", "collect_s": 1}}, "sampling.collect_s", "collect_ms: 1000"),
    ],
)
def test_a_study_in_other_units_says_what_to_write(cadenced, place, instead):
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, "schedule": {"cadenced": cadenced}})
    assert place in caught.value.message and f"did you mean {instead.split(':')[0]!r}?" in caught.value.message
    assert caught.value.hint == f"the unit is part of the key: write {instead}"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"schedule": {"cadenced": {"wake_margin_s": float("nan")}}}, "keys known there: period_ms,"),
        ({"schedule": {"cadenced": {"period_s": "x"}}}, "keys known there: period_ms,"),
        ({"schedule": {"cadenced": {"period_s": 10**400}}}, "keys known there: period_ms,"),
        ({"reserve": {"ram_kib": 4.3}}, "keys known there: cpu_pct,"),
        (
            {"targets": {"nano33ble": {"clock_khz": [64_000, 32_000]}}},
            "the unit is part of the key: write clock_mhz: [64, 32]",
        ),
        ({"schedule": {"cadenced": {"bogus": 1, "period_s": 1}}}, "the unit is part of the key: write period_ms: 1000"),
    ],
)
def test_no_hint_that_cannot_be_followed(written, hint):
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, **written})
    assert caught.value.hint.startswith(hint)


def test_a_key_of_another_quantity_is_not_meant():
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, "battery_v": 3})
    assert "did you mean" not in caught.value.message


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({"schedule": {"cadenced": {"period_ms": True}}}, "schedule.cadenced.period_ms"),
        ({"battery_mah": True}, "battery_mah"),
        ({"targets": {"nano33ble": {"clock_mhz": True}}}, "targets.nano33ble.clock_mhz"),
        ({"targets": [{"nano33ble": {"clock_mhz": [64, True]}}]}, "targets.nano33ble.clock_mhz.1"),
    ],
)
def test_a_truth_value_is_no_number(written, place):
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, **written})
    assert caught.value.message == f"study: {place}: expected a number, got true"
    parse_study({**STUDY, "search": {"warm_start": {"runs/one": {"repeat": True}}}})


def test_what_follows_from_another_problem_is_not_told_beside_it():
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, "quantization": ["int9"]})
    assert caught.value.message.startswith("study: quantization.0: ")
    with pytest.raises(StudyError, match=r"^study: quantization: .* at least 1 item"):
        parse_study({**STUDY, "quantization": []})


def test_a_battery_in_ampere_hours():
    with pytest.raises(StudyError) as caught:
        parse_study({**STUDY, "battery_ah": 0.22})
    assert caught.value.hint == "the unit is part of the key: write battery_mah: 220"


@pytest.mark.parametrize("period", ["200 ms", "0.2s", [200], {"ms": 200}])
def test_a_unit_in_the_value_is_refused(period):
    with pytest.raises(StudyError, match=r"schedule\.cadenced\.period_ms"):
        parse_study({**STUDY, "schedule": {"cadenced": {"period_ms": period}}})


def test_a_key_without_its_unit_is_named_but_nothing_is_guessed():
    with pytest.raises(StudyError, match="did you mean 'period_ms'") as caught:
        parse_study({**STUDY, "schedule": {"cadenced": {"period": 200}}})
    assert "write" not in caught.value.hint


def test_other_quantities_are_not_offered():
    assert same_quantity("power_ms", ["power_uw", "latency_ms"]) is None
    assert same_quantity("latency_us", ["power_uw", "latency_ms"]) == "latency_ms"
    assert same_quantity("nb_filters", ["nb_filters", "power_uw"]) is None
    assert converted("period_s", True, "period_ms") is None
    assert converted("period_s", "0.2", "period_ms") is None


UNITS = {"time": ["s", "ms", "us", "ns", "h", "min"], "power": ["w", "mw", "uw", "nw"], "charge": ["ah", "mah", "uah"]}


class Record(Frozen):
    wait_ms: float = Field(gt=0)
    draw_uw: float = Field(gt=0)
    cell_mah: float = Field(gt=0)


@given(
    st.sampled_from([("wait_ms", "time"), ("draw_uw", "power"), ("cell_mah", "charge")]),
    st.data(),
    st.floats(1e-3, 1e3),
)
def test_no_unit_but_the_right_one_is_taken_and_the_hint_can_be_followed(field, data, value):
    """What the hint says to write is accepted, and is the same quantity."""
    name, quantity = field
    stem, unit = name.rsplit("_", 1)
    other = data.draw(st.sampled_from([word for word in UNITS[quantity] if word != unit]))
    written = {"wait_ms": 1.0, "draw_uw": 1.0, "cell_mah": 1.0}
    del written[name]
    with pytest.raises(StudyError) as caught:
        validate({**written, f"{stem}_{other}": value}, Record, "here", StudyError)
    key, number = caught.value.hint.split("write ")[1].split(": ")
    assert key == name
    record = validate({**written, key: float(number)}, Record, "here", StudyError)
    back = converted(name, getattr(record, name), f"{stem}_{other}")
    assert float(back.split(": ")[1]) == pytest.approx(value, rel=1e-9)
