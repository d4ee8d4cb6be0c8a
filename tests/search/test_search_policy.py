import pytest
from search_stubs import make_plan, measurement

from crest.errors import StudyError
from crest.schedule import Cadenced, Continuous, PowerStates
from crest.search import policy as scoring
from crest.study import Constraint


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"minimize": ["rmse_totl"]}, ["policy.minimize.0", "'rmse_totl'", "did you mean 'rmse_total'"]),
        ({"minimize": ["rmse_total", "energy_per_windows_uj"]}, ["policy.minimize.1", "'energy_per_window_uj'"]),
        (
            {"minimize": ["flops"], "subject_to": ["flops <= 1", "latncy_ms <= 3"]},
            ["policy.subject_to.1", "did you mean 'latency_ms'"],
        ),
        ({"minimize": ["accuracy"]}, ["policy.minimize.0", "unknown metric 'accuracy'"]),
    ],
)
def test_an_unknown_metric_is_refused_when_the_search_is_set_up(policy, words):
    with pytest.raises(StudyError) as caught:
        make_plan(policy=policy)
    for word in words:
        assert word in str(caught.value)
    assert "rmse_total" in caught.value.hint
    assert "memory_traffic_unfused_bytes" in caught.value.hint


def test_every_metric_of_a_measurement_can_be_used_by_name():
    assert set(measurement(1.0, energy_uj=2.0).metrics()) == set(scoring.MEASURED_METRICS)


def test_constraints_on_cost_are_told_from_those_on_error():
    plan = make_plan(policy={"minimize": ["flops"], "subject_to": ["rmse_x <= 1", "macs <= 3", "latency_ms <= 2"]})
    assert [item.metric for item in scoring.cost_constraints(plan.study.policy)] == ["macs", "latency_ms"]


def test_violations_are_named_by_the_constraint_and_described_with_numbers():
    constraints = [Constraint.parse("latency_ms <= 200"), Constraint.parse("duty_cycle >= 0.5")]
    metrics = {"latency_ms": 300.0, "duty_cycle": 0.75}
    price = measurement(1.0)
    found = scoring.violations(constraints, metrics, price)
    assert found == {"latency_ms <= 200": 0.5, "duty_cycle >= 0.5": -0.5}
    assert not scoring.is_feasible(found)
    too_slow = "latency_ms is 300, which breaks latency_ms <= 200"
    assert scoring.describe_violations(constraints, metrics, price) == too_slow
    assert scoring.describe_violations(constraints, {"latency_ms": 200.0, "duty_cycle": 0.5}, price) is None
    late = measurement(1.0, missed=True)
    assert not scoring.is_feasible(scoring.violations([], {}, late))
    assert "misses the deadline" in (scoring.describe_violations([], {}, late) or "")


def test_an_absent_metric_gives_its_reason():
    priced = measurement(1.0)
    assert scoring.absent_reason(["cycles"], priced.metrics(), priced) is None
    why = scoring.absent_reason(["cycles", "energy_per_window_uj"], priced.metrics(), priced)
    assert why == "energy_per_window_uj has no value: no energy model"
    assert scoring.absent_reason(["rmse"], {"rmse": float("nan")}, None) == "rmse is nan"


def test_a_policy_on_what_no_model_knows_is_refused():
    unknown = PowerStates.unknown("no energy model of board", 3.0)

    def check(schedule, **policy):
        scoring.check_power(make_plan(policy=policy).study.policy, "board", unknown, schedule)

    for schedule in (Continuous(), Cadenced(period_ms=200)):
        check(schedule, minimize=["rmse_total", "latency_ms"], subject_to=["ram_bytes <= 4K"])
        with pytest.raises(
            StudyError, match=r"policy\.minimize\.1: energy_per_window_uj is not known.*'board'"
        ) as caught:
            check(schedule, minimize=["rmse_total", "energy_per_window_uj"])
        assert "no energy model of board" in str(caught.value)
        assert "latency_ms" in (caught.value.hint or "")
        with pytest.raises(StudyError, match=r"policy\.subject_to\.1: average_power_uw"):
            check(schedule, minimize=["rmse_x"], subject_to=["latency_ms <= 3", "average_power_uw <= 5"])
    check(Continuous(), minimize=["rmse_x"], subject_to=["duty_cycle <= 1"])
    with pytest.raises(StudyError, match="duty_cycle is not known"):
        check(Cadenced(period_ms=200), minimize=["rmse_x"], subject_to=["duty_cycle <= 0.5"])
