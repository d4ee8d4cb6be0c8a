import dataclasses

import pytest
from search_stubs import SPACE, make_plan, run_stub

from crest.errors import StudyError
from crest.ledger import HeaderRecord, TrialRecord, content, read_ledger
from crest.models.axes import IntAxis
from crest.search import events
from crest.search.choice import GRID_LIMIT, choose_sampler
from crest.search.contracts import Proposal
from crest.search.encoding import proposal_key
from crest.study import Policy, SearchOptions

SMALL = {**SPACE, "filters": IntAxis(10, 11), "dilations": SPACE["dilations"].narrow([[1, 8], [2, 8], [4, 8]])}
LARGE = 10**9


def chosen(size=LARGE, objectives=2, constraints=(), **search):
    policy = Policy(minimize=tuple(f"m{index}" for index in range(objectives)), subject_to=constraints)
    return choose_sampler(SearchOptions(sampler="auto", **search), policy, size)


def keys_of(folder):
    trials = [record for record in read_ledger(folder / "ledger.jsonl") if isinstance(record, TrialRecord)]
    return [proposal_key(Proposal(trial.candidate, trial.quantization)) for trial in trials]


def test_auto_takes_a_grid_where_every_candidate_can_be_trained():
    assert chosen(size=40, trials=40).name == "grid"
    assert chosen(size=41, trials=40).name == "gp"
    assert "40 candidates in the space" in chosen(size=40, trials=40).reason


@pytest.mark.parametrize(
    ("objectives", "trials", "constraints", "name"),
    [
        (2, 400, (), "gp"),
        (2, 401, (), "tpe"),
        (2, 200, ("latency_ms <= 50",), "gp"),
        (2, 201, ("latency_ms <= 50",), "tpe"),
        (3, 40, (), "gp"),
        (4, 40, (), "tpe"),
        (4, 1000, (), "tpe"),
        (3, 1001, (), "nsga2"),
        (4, 1001, (), "nsga3"),
        (4, 501, ("latency_ms <= 50",), "nsga3"),
    ],
)
def test_auto_goes_by_objectives_budget_and_constraints(objectives, trials, constraints, name):
    found = chosen(objectives=objectives, trials=trials, constraints=constraints)
    assert found.name == name
    assert f"{objectives} objective" in found.reason
    assert str(trials * (2 if constraints else 1)) in found.reason


def test_a_named_sampler_is_not_chosen_again():
    assert choose_sampler(SearchOptions(sampler="grid"), Policy(minimize=("m",)), 5) is None


def test_the_choice_and_its_reason_are_in_the_header_and_told(tmp_path):
    seen = []
    plan = make_plan(sampler="auto", space=SMALL, trials=100)
    run_stub(plan, tmp_path, on_event=seen.append)
    header = read_ledger(tmp_path / "ledger.jsonl")[0]
    assert header.sampler.name == "grid"
    assert seen[0] == events.RunStarted("stub", 0, {}, header.sampler, ())
    named = make_plan(sampler="grid", space=SMALL, trials=100)
    run_stub(named, tmp_path / "named")
    assert keys_of(tmp_path) == keys_of(tmp_path / "named")
    first, *_ = read_ledger(tmp_path / "named" / "ledger.jsonl")
    assert "sampler" not in first.model_dump()
    assert "warm_start" not in first.model_dump()


def test_a_resumed_run_keeps_its_choice(tmp_path, monkeypatch):
    plan = make_plan(sampler="auto", trials=6, batch=1)
    run_stub(plan, tmp_path / "whole")
    whole = (tmp_path / "whole" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "ledger.jsonl").write_bytes(b"".join(whole[:9]))
    monkeypatch.setattr("crest.search.choice._GP_HISTORY", 0)
    assert isinstance(plan.header(), HeaderRecord)
    assert plan.header().sampler.name == "tpe", "the rule must have changed"
    run_stub(plan, tmp_path / "cut")
    read = [read_ledger(tmp_path / name / "ledger.jsonl") for name in ("whole", "cut")]
    assert content(read[0]) == content(read[1])


def test_a_grid_walks_the_whole_space_in_an_order_of_the_seed(tmp_path):
    plans = [make_plan(sampler="grid", space=SMALL, trials=100, seed=seed) for seed in (1, 2)]
    for seed, plan in enumerate(plans):
        run_stub(plan, tmp_path / str(seed))
    one, other = keys_of(tmp_path / "0"), keys_of(tmp_path / "1")
    assert len(one) == len(set(one)) == plans[0].encoding.size == 72
    assert set(one) == set(other)
    assert one != other


def test_a_grid_that_is_cut_short_has_seen_all_parts_of_the_space(tmp_path):
    plan = make_plan(sampler="grid", space={**SMALL, "filters": IntAxis(2, 9)}, trials=30)
    run_stub(plan, tmp_path)
    trials = [record for record in read_ledger(tmp_path / "ledger.jsonl") if isinstance(record, TrialRecord)]
    for name in ("filters", "rate", "skip"):
        assert {trial.candidate[name] for trial in trials} == set(plan.space[name].values())


def test_a_grid_beyond_reason_is_refused_before_the_first_trial():
    with pytest.raises(StudyError, match=rf"search\.sampler: a grid of .* at most {GRID_LIMIT}") as caught:
        make_plan(sampler="grid", space={**SPACE, "filters": IntAxis(2, 2000)})
    assert "narrow model.space" in caught.value.hint
    assert make_plan(sampler="random", space={**SPACE, "filters": IntAxis(2, 2000)})


def test_a_grid_skips_what_is_pending():
    sampler = make_plan(sampler="grid", space=SMALL).sampler()
    first = sampler.ask(0, [], [])
    second = sampler.ask(1, [], [first])
    assert dataclasses.replace(sampler).ask(0, [], [first]) == second != first
