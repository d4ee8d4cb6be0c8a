"""A search that starts from what earlier runs found out."""

import dataclasses
import json

import pytest
from search_stubs import LATENCY_LIMIT_MS, SPACE, latency_ms, make_plan, run_stub

from crest.errors import LedgerError, StudyError
from crest.ledger import EarlierRun, TrialRecord, content, read_ledger
from crest.models.axes import CategoricalAxis, IntAxis
from crest.search import events
from crest.search.contracts import Proposal
from crest.search.encoding import proposal_key
from crest.search.policy import is_feasible
from crest.search.warm_start import read_warm_start


def trials_of(folder):
    return [record for record in read_ledger(folder / "ledger.jsonl") if isinstance(record, TrialRecord)]


def keys_of(trials):
    return {proposal_key(Proposal(trial.candidate, trial.quantization)) for trial in trials}


def warm_of(plan):
    return read_warm_start(plan.study, plan.space, plan.header())


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier") / "run"
    run_stub(make_plan(trials=24, seed=3), folder)
    states = [trial.state for trial in trials_of(folder)]
    assert {"complete", "infeasible", "failed"} == set(states)
    return folder


def test_everything_but_failures_is_told(earlier):
    warm = warm_of(make_plan(warm_start=[str(earlier)]))
    trials = trials_of(earlier)
    told = [trial for trial in trials if trial.state != "failed"]
    assert [trial.number for trial in warm.told] == [trial.number for trial in told]
    assert warm.told == tuple(told), "the same policy gives the same scores"
    assert warm.avoided == keys_of(told)
    (run,) = warm.runs
    assert (run.run, run.told, run.left_out) == (str(earlier), len(told), {"failed": len(trials) - len(told)})


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "random", "grid"])
def test_earlier_candidates_are_no_trials_and_are_not_proposed_again(tmp_path, earlier, sampler):
    space = {**SPACE, "filters": IntAxis(2, 12), "rate": CategoricalAxis((0.0, 0.1))}
    options = {"space": space, "sampler": sampler, "trials": 30}
    run_stub(make_plan(**options, seed=3), tmp_path / "first")
    finished = run_stub(make_plan(**options, seed=4, warm_start=str(tmp_path / "first")), tmp_path / "second")
    assert finished.reason == "trained 30 candidates"
    trials = trials_of(tmp_path / "second")
    assert trials[0].number == 0
    first = [trial for trial in trials_of(tmp_path / "first") if trial.state != "failed"]
    assert not keys_of(first) & keys_of(trials)


def test_the_model_takes_over_at_once_and_starts_better(tmp_path, earlier):
    """Without a warm start the first six that are trained are random."""
    feasible = {}
    for name, options in {"warm": {"warm_start": [str(earlier)]}, "cold": {}}.items():
        found = []
        for seed in range(6):
            run_stub(make_plan(trials=6, seed=100 + seed, sampler="tpe", **options), tmp_path / f"{name}{seed}")
            found += trials_of(tmp_path / f"{name}{seed}")
        feasible[name] = sum(latency_ms(t.candidate, t.quantization) <= LATENCY_LIMIT_MS for t in found) / len(found)
    assert feasible["warm"] > feasible["cold"]


def test_of_a_space_that_earlier_runs_exhausted_only_failures_are_left(tmp_path):
    space = {**SPACE, "filters": IntAxis(10, 11), "dilations": SPACE["dilations"].narrow([[1, 8]])}
    options = {"space": space, "quantization": ["int8"], "sampler": "grid", "trials": 50}
    run_stub(make_plan(**options), tmp_path / "first")
    failed = [trial for trial in trials_of(tmp_path / "first") if trial.state == "failed"]
    again = make_plan(**options, warm_start=[str(tmp_path / "first")])
    sampler, left = again.sampler(again.header(), warm_of(again)), []
    while (proposal := sampler.ask(len(left), [], left)) is not None:
        left.append(proposal)
    assert {proposal_key(proposal) for proposal in left} == keys_of(failed)
    repeated = make_plan(**options, warm_start={str(tmp_path / "first"): {"repeat": True}})
    finished = run_stub(repeated, tmp_path / "second")
    assert finished.trials == 12
    assert keys_of(trials_of(tmp_path / "second")) == keys_of(trials_of(tmp_path / "first"))


def test_what_is_outside_of_the_space_is_left_out_and_counted(earlier):
    space = {**SPACE, "filters": IntAxis(2, 20)}
    warm = warm_of(make_plan(space=space, quantization=["int8"], warm_start=[str(earlier)]))
    trials = trials_of(earlier)
    outside = [t for t in trials if t.candidate["filters"] > 20 or t.quantization != "int8"]
    assert outside
    assert warm.runs[0].left_out["outside of this space"] == len(outside)
    assert warm.runs[0].told + sum(warm.runs[0].left_out.values()) == len(trials)
    assert not keys_of(outside) & keys_of(warm.told)


def test_another_policy_scores_the_earlier_trials_anew(earlier):
    policy = {"minimize": ["rmse_x", "latency_ms"], "subject_to": ["latency_ms <= 30"]}
    warm = warm_of(make_plan(policy=policy, warm_start=[str(earlier)]))
    trained = [trial for trial in warm.told if trial.state == "complete"]
    assert trained
    for trial in trained:
        latency = trial.price.latency_ms.value
        assert trial.objectives == {"rmse_x": trial.metrics["rmse_x"], "latency_ms": latency}
        assert is_feasible(trial.violations) == (latency <= 30)


def test_what_this_policy_would_have_trained_is_left_to_be_proposed(earlier):
    policy = {"minimize": ["rmse_total", "energy_per_inference_uj"], "subject_to": ["latency_ms <= 100"]}
    warm = warm_of(make_plan(policy=policy, warm_start=[str(earlier)]))
    missed = [t for t in trials_of(earlier) if t.state == "infeasible" and t.price and t.price.latency_ms.value <= 100]
    assert missed
    assert warm.runs[0].left_out["refused then, not refused by this policy"] == len(missed)
    assert not keys_of(missed) & warm.avoided


def test_a_metric_that_has_no_value_in_an_earlier_run_leaves_its_trials_out(earlier):
    odd = {"minimize": ["rmse_total", "odd"], "derive": {"odd": "log(0 * rmse_total)"}}
    plan = make_plan(policy=odd, warm_start=[str(earlier)])
    warm = warm_of(plan)
    trained = sum(trial.state == "complete" for trial in trials_of(earlier))
    assert warm.runs[0].left_out["without a metric of this policy"] == trained


def test_of_a_candidate_in_two_runs_the_first_is_told(tmp_path, earlier):
    other = tmp_path / "z"
    run_stub(make_plan(trials=24, seed=3), other)
    both = warm_of(make_plan(warm_start=[str(other), str(earlier)]))
    first, second = both.runs
    assert first.run < second.run
    assert second.told == 0
    assert second.left_out["told already"] == first.told == len(both.told)


def test_the_header_tells_which_runs_and_how_much_of_them(tmp_path, earlier):
    seen = []
    run_stub(make_plan(trials=2, warm_start=[str(earlier)]), tmp_path, on_event=seen.append)
    header = read_ledger(tmp_path / "ledger.jsonl")[0]
    (run,) = header.warm_start
    assert isinstance(run, EarlierRun)
    assert run.told > 20
    assert len(run.ledger_sha256) == 64
    assert seen[0] == events.RunStarted("stub", 0, {}, None, header.warm_start)
    assert header.study["search"]["warm_start"] == {str(earlier): {"repeat": False}}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "grid", "auto"])
def test_a_resumed_run_reads_the_same_runs_and_ends_the_same(tmp_path, earlier, sampler):
    space = {**SPACE, "filters": IntAxis(2, 9)}
    policy = {"minimize": ["rmse_total", "latency_ms", "energy_per_inference_uj", "ram_bytes"]}
    plan = make_plan(policy, space=space, sampler=sampler, warm_start=[str(earlier)])
    whole, cut = tmp_path / "whole", tmp_path / "cut" / "ledger.jsonl"
    run_stub(plan, whole)
    data = (whole / "ledger.jsonl").read_bytes()
    cut.parent.mkdir()
    for tenth in (2, 5, 8):
        cut.write_bytes(data[: len(data) * tenth // 10])
        run_stub(plan, cut.parent)
        assert content(read_ledger(cut)) == content(read_ledger(whole / "ledger.jsonl"))


def test_a_run_whose_earlier_ledger_changed_is_not_resumed(tmp_path, earlier):
    mine = tmp_path / "earlier"
    mine.mkdir()
    lines = (earlier / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (mine / "ledger.jsonl").write_bytes(b"".join(lines[:20]))
    plan = make_plan(trials=4, warm_start=[str(mine)])
    run_stub(plan, tmp_path / "run")
    (mine / "ledger.jsonl").write_bytes(b"".join(lines[:20]) + lines[20][:10])
    run_stub(plan, tmp_path / "run")
    (mine / "ledger.jsonl").write_bytes(b"".join(lines[:21]))
    with pytest.raises(LedgerError, match=r"search\.warm_start: the ledger of .*earlier changed since") as caught:
        run_stub(plan, tmp_path / "run")
    assert "put it back" in caught.value.hint


def test_runs_that_cannot_be_used_are_refused_with_their_place(tmp_path, earlier):
    with pytest.raises(StudyError, match=r"search\.warm_start: .*nowhere.*cannot be read"):
        run_stub(make_plan(warm_start=[str(tmp_path / "nowhere")]), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing was begun"
    plan = make_plan(warm_start=[str(earlier)])
    with pytest.raises(StudyError, match=r"search\.warm_start: .*do not compare.*differ: the data$"):
        warm_of(dataclasses.replace(plan, workload_fingerprint="data 2"))
    with pytest.raises(StudyError, match=r"differ: targets, energy_model") as caught:
        other = make_plan(clock_mhz=16, warm_start=[str(earlier)])
        warm_of(dataclasses.replace(other, versions={"energy_model": "a newer one"}))
    assert "leave this run out" in caught.value.hint


def test_a_study_of_several_clocks_tells_the_clock_that_its_policy_prefers(tmp_path):
    options = {"clock_mhz": [32, 64], "trials": 8}
    run_stub(make_plan(**options), tmp_path)
    fast = make_plan({"minimize": ["latency_ms"]}, **options, warm_start=[str(tmp_path)])
    slow = make_plan({"minimize": ["energy_per_inference_uj"]}, **options, warm_start=[str(tmp_path)])
    for plan, clock_mhz in ((fast, 64), (slow, 32)):
        trained = [trial for trial in warm_of(plan).told if len([p for p in trial.points if p.state == "complete"]) > 1]
        assert trained
        assert {trial.key.clock_mhz for trial in trained} == {clock_mhz}


def test_paths_start_from_the_folder_of_the_study(earlier):
    plan = make_plan(warm_start=["run"])
    placed = dataclasses.replace(plan, study=plan.study.placed_in(earlier.parent))
    assert warm_of(placed).runs[0].told > 0
    assert json.loads(placed.study.model_dump_json())["search"]["warm_start"] == {"run": {"repeat": False}}
