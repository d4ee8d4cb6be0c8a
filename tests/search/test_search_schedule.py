"""What a study writes about its schedule arrives in the schedule of its prices."""

from __future__ import annotations

import pytest

from crest.errors import StudyError
from crest.schedule import Cadenced, Continuous, Sampling
from crest.search.setup import resolve_schedule
from crest.study import parse_study
from tests.test_units import STUDY

SENSORS = {"power_uw": 500, "collect_ms": 40, "reason": "IMU at 100 Hz, datasheet table 4"}


def resolved(written):
    return resolve_schedule(parse_study({**STUDY, "schedule": written}).schedule, workload_period_ms=100.0)


def test_everything_that_is_written_arrives():
    written = {"period_ms": 200, "sleep": "sleep", "wake_margin_ms": 1, "sampling": SENSORS}
    assert resolved({"cadenced": written}) == Cadenced(
        period_ms=200, sleep="sleep", wake_margin_ms=1, sampling=Sampling(**SENSORS)
    )
    assert resolved("continuous") == Continuous()


def test_defaults_are_the_period_of_the_workload_and_the_deep_state():
    plain = Cadenced(period_ms=100, sleep="deep_sleep")
    assert resolved("cadenced") == plain
    for name in ("deep", "deep_sleep"):
        assert resolved({"cadenced": {"sleep": name}}) == plain


def test_both_names_of_a_state_are_one_study():
    one, other = (parse_study({**STUDY, "schedule": {"cadenced": {"sleep": n}}}) for n in ("deep", "deep_sleep"))
    assert one.canonical_sha256() == other.canonical_sha256()


@pytest.mark.parametrize("written", [{"wake_margin_ms": 100}, {"sampling": {**SENSORS, "collect_ms": 101}}])
def test_what_is_longer_than_the_period_of_the_workload_is_refused(written):
    with pytest.raises(StudyError, match=r"^schedule\.cadenced: .* period_ms 100"):
        resolved({"cadenced": written})


@pytest.mark.parametrize(("missing", "place"), [("reason", "sampling.reason"), ("power_uw", "sampling.power_uw")])
def test_a_power_of_sensors_has_a_reason(missing, place):
    written = {key: value for key, value in SENSORS.items() if key != missing}
    with pytest.raises(StudyError, match=f"missing key 'schedule.cadenced.{place}'"):
        resolved({"cadenced": {"sampling": written}})
