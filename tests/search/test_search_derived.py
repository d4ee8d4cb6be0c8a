"""Policies as data, through a whole search with stub evaluators."""

import json

import pytest
from search_stubs import Stub, make_plan, measurement, run_stub

from crest.errors import StudyError
from crest.ledger import MemberRecord, TrialRecord, read_ledger
from crest.report.export import front_csv, front_json
from crest.report.rows import front_columns
from crest.report.view import view_run
from crest.schedule import Continuous, PowerStates
from crest.search import policy as scoring
from crest.search.contracts import Evaluators, Priced, Trained
from crest.search.derived import derive
from crest.study import Policy

PROXIES = [*scoring.PROXY_METRICS, "arena_lower_bound_bytes"]


def searched(folder, policy, evaluators=None, **search):
    plan = make_plan(policy=policy, **{"trials": 10, "startup_trials": 4, **search})
    run_stub(plan, folder, **({"evaluators": evaluators} if evaluators else {}))
    return read_ledger(folder / "ledger.jsonl")


def of_kind(records, kind):
    return [record for record in records if isinstance(record, kind)]


class Accurate(Stub):
    """A stub whose networks have an accuracy, too; none of them fails."""

    def train(self, number, candidate, quantization, on_epoch):
        trained = super().train(number, {**candidate, "rate": 0.0}, quantization, on_epoch)
        accuracy = 1.0 / (1.0 + trained.metrics["rmse_total"])
        return Trained({**trained.metrics, "rmse_x": accuracy}, trained.summary, trained.model_path)


def accurate():
    stub = Accurate()
    return Evaluators(stub, stub)


def test_maximizing_a_metric_is_minimizing_its_negative(tmp_path):
    """rmse_x plays the accuracy: what is maximized and what is derived as its negative give one search."""
    up = {"maximize": ["rmse_x"], "minimize": ["latency_ms"]}
    down = {"minimize": ["latency_ms", "wrong"], "derive": {"wrong": "0 - rmse_x"}}
    for sampler in ("tpe", "nsga2"):
        runs = [
            searched(tmp_path / f"{sampler}{index}", policy, accurate, sampler=sampler)
            for index, policy in enumerate((up, down))
        ]
        first, second = (of_kind(records, TrialRecord) for records in runs)
        assert [trial.candidate for trial in first] == [trial.candidate for trial in second]
        assert runs[0][-1].front == runs[1][-1].front
        complete = [trial for trial in first if trial.state == "complete"]
        assert all(trial.objectives["rmse_x"] == trial.metrics["rmse_x"] > 0 for trial in complete)


def test_the_front_of_what_is_maximized_holds_the_largest_and_is_listed_best_first(tmp_path):
    records = searched(tmp_path, {"maximize": ["rmse_x"], "minimize": ["latency_ms"]}, accurate)
    view = view_run(records)
    assert view.objectives == ("latency_ms", "rmse_x")
    assert [entry.number for entry in view.front] == sorted(records[-1].front, key=lambda n: n_latency(view, n))
    assert max(entry.value("rmse_x") for entry in view.entries if entry.member) == view.front[-1].value("rmse_x")
    running = view_run([record for record in records[:-1] if not isinstance(record, MemberRecord)])
    values = [(entry.value("latency_ms"), -entry.value("rmse_x")) for entry in running.front]
    assert values == sorted(values) and values[0][1] >= values[-1][1]
    only = view_run(searched(tmp_path / "only", {"maximize": ["rmse_x"]}, accurate))
    assert only.front[0].value("rmse_x") == max(entry.value("rmse_x") or 0 for entry in only.entries)


def n_latency(view, number):
    return next(entry.value("latency_ms") for entry in view.entries if entry.number == number)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_alone_drives_a_search(tmp_path, proxy):
    records = searched(tmp_path, {"minimize": [proxy]}, trials=6)
    trained = [trial for trial in of_kind(records, TrialRecord) if trial.state == "complete"]
    best = min(trial.objectives[proxy] for trial in trained)
    assert {trial.objectives[proxy] for trial in trained if trial.number in records[-1].front} == {best}


def test_derived_metrics_are_recorded_constrained_and_shown_like_others(tmp_path):
    policy = {
        "minimize": ["rmse_total", "energy_nj_per_kflop"],
        "subject_to": ["slowness <= 3", "product <= 60"],
        "derive": {
            "energy_nj_per_kflop": "1e6 * energy_per_inference_uj / flops",
            "slowness": "latency_ms / 20",
            "product": "slowness * 20 * rmse_total",
        },
    }
    records = searched(tmp_path, policy)
    trials = of_kind(records, TrialRecord)
    assert {trial.state for trial in trials} >= {"complete", "infeasible"}
    for trial in trials:
        if trial.state == "complete":
            latency, rmse = trial.price.latency_ms.value, trial.metrics["rmse_total"]
            assert trial.derived["product"] == pytest.approx(latency * rmse)
            assert trial.violations["product <= 60"] == pytest.approx(latency * rmse / 60 - 1)
            assert trial.objectives["energy_nj_per_kflop"] == trial.derived["energy_nj_per_kflop"]
        elif trial.price:
            assert trial.training is None, "a constraint on cost alone is judged before training"
            assert trial.derived["slowness"] > 3 and "product" not in trial.derived
            assert "slowness is" in trial.reason and set(trial.violations) == {"slowness <= 3"}
    view = view_run(records)
    assert front_columns(view)[:4] == ("rmse_total", "energy_nj_per_kflop", "slowness", "product")
    assert view.front[0].value("product") == view.front[0].member.derived["product"]
    head = front_csv(view).splitlines()[0].split(",")
    assert {"energy_nj_per_kflop", "metric.slowness", "metric.product"} <= set(head)
    assert json.loads(front_json(view))["front"][0]["member"]["derived"].keys() == policy["derive"].keys()


def test_a_ledger_without_derived_metrics_does_not_mention_them(tmp_path):
    searched(tmp_path, {"minimize": ["rmse_total"]}, trials=3)
    assert "derived" not in (tmp_path / "ledger.jsonl").read_text()


def test_a_score_is_one_objective_that_is_maximized(tmp_path):
    policy = {
        "score": [
            {"metric": "rmse_total", "weight": -1},
            {"metric": "energy_per_inference_uj", "weight": -0.1, "kind": "normalized", "reference": 4000},
            {"metric": "latency_ms", "weight": 0.01, "kind": "boundary", "reference": 20},
        ],
        "subject_to": ["ram_bytes <= 4K", "score >= -5"],
    }
    records = searched(tmp_path, policy)
    members = {member.number: member for member in of_kind(records, MemberRecord)}
    assert records[-1].front and set(records[-1].front) <= members.keys()
    for member in members.values():
        price = member.measurement
        expected = -member.metrics["rmse_total"] - 0.1 * price.energy_per_inference_uj.value / 4000
        expected -= 0.01 * max(0.0, price.latency_ms.value - 20)
        assert member.objectives == {"score": pytest.approx(expected)}
    best = max(member.objectives["score"] for member in members.values())
    assert {members[number].objectives["score"] for number in records[-1].front} == {best}


def test_what_cannot_be_computed_fails_the_point_with_the_reason(tmp_path):
    policy = {
        "minimize": ["rmse_total", "odd"],
        "derive": {"odd": "half + 1", "half": "sqrt(300 - 10 * latency_ms)"},
    }
    trials = of_kind(searched(tmp_path, policy), TrialRecord)
    for trial in trials:
        if trial.price and trial.price.latency_ms.value > 30:
            assert trial.state == "failed" and trial.training is None
            assert trial.reason.startswith("StudyError: derive.half: sqrt(300 - 10 * latency_ms) is not a finite")
    assert any("StudyError: derive.half" in (trial.reason or "") for trial in trials)
    assert any(trial.state == "complete" for trial in trials)


def test_an_error_metric_that_breaks_an_expression_fails_the_trained_point(tmp_path):
    policy = {"minimize": ["latency_ms"], "derive": {"bad": "log(rmse_x - rmse_x)"}, "subject_to": ["bad <= 1"]}
    with pytest.raises(StudyError, match="trained 0 of 10 candidates"):
        searched(tmp_path, policy, accurate)
    trials = of_kind(read_ledger(tmp_path / "ledger.jsonl"), TrialRecord)
    assert not any(trial.state == "complete" for trial in trials)
    assert any(trial.reason.startswith("StudyError: derive.bad: log(rmse_x - rmse_x) is not") for trial in trials)


def test_what_is_only_recorded_fails_nobody(tmp_path):
    policy = {"minimize": ["rmse_total"], "derive": {"bad": "1 / (flops - flops)", "good": "flops * 2"}}
    records = searched(tmp_path, policy, trials=4)
    assert all(set(trial.derived) <= {"good"} for trial in of_kind(records, TrialRecord))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"maximize": ["acuracy", "flops"]}, ["policy.maximize.0", "unknown metric 'acuracy'"]),
        (
            {"minimize": ["cost"], "derive": {"cost": "2 * latncy_ms"}},
            ["policy.derive.cost", "column 5", "did you mean 'latency_ms'"],
        ),
        ({"minimize": ["cots"], "derive": {"cost": "2 * flops"}}, ["policy.minimize.0", "did you mean 'cost'"]),
        ({"minimize": ["flops"], "derive": {"flops": "2 * macs"}}, ["policy.derive", "'flops' is a recorded metric"]),
        ({"score": "published_audio"}, ["policy.score.0.metric", "'macro_f1'"]),
        ({"score": [{"metric": "score", "weight": 1}]}, ["policy", "defined by each other"]),
        ({"minimize": ["score"]}, ["policy.minimize.0", "unknown metric 'score'"]),
    ],
)
def test_an_impossible_policy_is_refused_before_the_first_trial(policy, words):
    with pytest.raises(StudyError) as caught:
        make_plan(policy=policy)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"maximize": ["average_power_uw"]}, r"policy\.maximize\.0: average_power_uw"),
        (
            {"minimize": ["latency_ms"], "derive": {"a": "b", "b": "1 + energy_per_window_uj"}},
            r"policy\.derive\.b: column 5: energy_per_window_uj",
        ),
        (
            {"score": [{"metric": "energy_per_inference_uj", "weight": -1}]},
            r"policy\.score\.0\.metric: energy_per_inference_uj",
        ),
    ],
)
def test_a_policy_that_stands_on_what_no_model_knows_is_refused(policy, place):
    unknown = PowerStates.unknown("no energy model of board", 3.0)
    with pytest.raises(StudyError, match=place + ".*is not known on target 'board'.*no energy model"):
        scoring.check_power(make_plan(policy=policy).study.policy, "board", unknown, Continuous())


def test_a_trial_without_energy_is_refused_before_training_when_only_an_expression_needs_it(tmp_path):
    class Powerless(Stub):
        def price(self, candidate, quantization, clock_mhz=None):
            priced = super().price({**candidate, "filters": 2}, quantization, clock_mhz)
            return Priced(measurement(1.0), priced.proxies, priced.profile_key)

    def evaluators():
        return Evaluators(Powerless(), Accurate(tmp_path / "log"))

    policy = {"minimize": ["cost"], "derive": {"cost": "rmse_total * energy_per_inference_uj"}}
    with pytest.raises(Exception, match="energy_per_inference_uj has no value: no energy model"):
        searched(tmp_path, policy, evaluators)
    assert not (tmp_path / "log").exists()


def test_derived_metrics_before_training_are_those_of_cost():
    policy = Policy.model_validate(
        {"minimize": ["c"], "derive": {"a": "latency_ms * 2", "b": "rmse_total + a", "c": "a / zero", "zero": "a - a"}}
    )
    found = derive(policy, {"latency_ms": 3.0})
    assert found.values == {"a": 6.0, "zero": 0.0}
    assert found.reasons == {"c": "derive.c: a / zero is not a finite number for 6, 0"}
    assert found.reason(["a", "b"]) is None and "derive.c" in found.reason(["a", "c"])
    assert [scoring.is_cost(policy, name) for name in ("a", "b", "c", "rmse_total")] == [True, False, True, False]
