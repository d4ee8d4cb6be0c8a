import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_stubs import LATENCY_LIMIT_MS, SPACE, latency_ms, make_plan, run_stub, stub_evaluators

from crest.models.axes import CategoricalAxis, IntAxis, SubsetAxis
from crest.models.family import check_candidate
from crest.search.contracts import Proposal
from crest.search.encoding import Encoding, proposal_key
from crest.search.history import POPULATION, optuna_study
from crest.search.trial import Job, evaluate_trial

ENCODING = Encoding(SPACE, ("int8", "float32"))
NARROWED = {**SPACE, "dilations": SPACE["dilations"].narrow([[1, 2], [4, 8, 16], [1, 32], [2, 4, 8, 16]])}


def evaluated(plan, sampler, count):
    """Trials one by one, each asked from all before."""
    records = []
    for number in range(count):
        proposal = sampler.ask(number, records, [])
        job = Job(number, proposal, "board", plan.study.policy)
        records.append(evaluate_trial(job, stub_evaluators(), lambda event: None))
    return records


@given(st.integers(min_value=0, max_value=10_000))
@settings(max_examples=50, deadline=None)
def test_encoding_and_decoding_are_inverse(seed):
    for space in (SPACE, NARROWED):
        encoding = Encoding(space, ("int8", "float32"))
        proposal = encoding.sample((seed,))
        check_candidate(space, proposal.candidate)
        assert encoding.decode(encoding.encode(proposal)) == proposal
        assert encoding.encode(proposal).keys() == encoding.distributions().keys()


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.sampled_from([SPACE, NARROWED]))
@settings(max_examples=100, deadline=None)
def test_any_flags_decode_into_the_nearest_subset(flags, space):
    axis = space["dilations"]
    encoding = Encoding(space, ("int8",))
    params = encoding.encode(encoding.sample((1,)))
    params |= {f"dilations[{element}]": flag for element, flag in zip(axis.elements, flags, strict=True)}
    proposal = encoding.decode(params)
    check_candidate(space, proposal.candidate)
    assert encoding.decode(params) == proposal
    sets = axis.allowed or [
        tuple(e for e, member in zip(axis.elements, bits, strict=True) if member)
        for bits in itertools.product([False, True], repeat=6)
        if 2 <= sum(bits) <= 4
    ]
    distances = [sum(a != b for a, b in zip(axis.flags(item), flags, strict=True)) for item in sets]
    chosen = axis.flags(proposal.candidate["dilations"])
    assert sum(a != b for a, b in zip(chosen, flags, strict=True)) == min(distances)


def test_true_and_one_are_different_choices():
    encoding = Encoding({"x": CategoricalAxis((1, True, "1"))}, ("int8",))
    for value in (1, True, "1"):
        decoded = encoding.decode(encoding.encode(Proposal({"x": value}, "int8"))).candidate["x"]
        assert decoded == value
        assert type(decoded) is type(value)


def test_samples_spread_over_the_whole_space():
    tiny = Encoding({"a": IntAxis(1, 3), "s": SubsetAxis((1, 2, 4), 1, 2)}, ("int8", "float32"))
    seen = {proposal_key(tiny.sample((seed,))) for seed in range(600)}
    assert tiny.size == 36 == len(seen)


@pytest.mark.parametrize("name", ["tpe", "random", "grid", "nsga2", "nsga3", "gp"])
def test_every_sampler_stays_in_the_space_and_repeats_nothing(name):
    plan = make_plan(sampler=name, startup_trials=4)
    records = evaluated(plan, plan.sampler(), 10 if name == "gp" else 40)
    for record in records:
        check_candidate(SPACE, record.candidate)
    keys = {proposal_key(Proposal(record.candidate, record.quantization)) for record in records}
    assert len(keys) == len(records)
    assert {record.quantization for record in records} == {"int8", "float32"}


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "gp"])
def test_an_ask_depends_on_nothing_but_its_arguments(name):
    plan = make_plan(sampler=name, startup_trials=4)
    records = evaluated(plan, dataclasses.replace(plan.sampler(), name="random"), 25)
    assert sum(record.state == "complete" for record in records) >= 4, "the model must be asked"
    records = records[:12] if name == "gp" else records
    reread = [type(record).model_validate_json(record.model_dump_json()) for record in records]
    one, other = plan.sampler(), plan.sampler()
    other.ask(3, records, [])
    pending = [plan.sampler().ask(24, records, [])]
    first = one.ask(25, records, pending)
    assert other.ask(25, reread, pending) == first
    asks = 2 if name == "gp" else 5
    numbers = {proposal_key(one.ask(25 + step, records, pending)) for step in range(asks)}
    seeds = {proposal_key(dataclasses.replace(one, seed=step).ask(25, records, pending)) for step in range(asks)}
    assert len(numbers) > 1, "the number of the trial must count"
    assert len(seeds) > 1, "the seed of the study must count"


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_generations_are_bred_from_their_parents(name):
    """In a history of one value only a mutation brings another; a random draw would in two of three asks."""
    plan = make_plan(sampler=name, startup_trials=4)
    drawn = evaluated(plan, dataclasses.replace(plan.sampler(), name="random"), 60)
    records = [r.model_copy(update={"candidate": {**r.candidate, "rate": 0.1}}) for r in drawn]
    assert sum(record.state != "failed" for record in records) >= 2 * POPULATION
    bred = [plan.sampler().ask(60 + step, records, []) for step in range(30)]
    assert sum(proposal.candidate["rate"] == 0.1 for proposal in bred) >= 20


def test_a_population_is_that_of_the_study():
    """Breeding begins with the first whole generation: before it a sampler that breeds draws at random."""
    plans = [make_plan(sampler="nsga2", startup_trials=1, population=size) for size in (10, 50)]
    drawn = evaluated(plans[0], dataclasses.replace(plans[0].sampler(), name="random"), 30)
    records = [r.model_copy(update={"candidate": {**r.candidate, "rate": 0.1}}) for r in drawn]
    small, large = ([plan.sampler().ask(30 + step, records, []) for step in range(30)] for plan in plans)
    inherited = [sum(proposal.candidate["rate"] == 0.1 for proposal in proposals) for proposals in (small, large)]
    assert inherited[0] >= 20
    assert inherited[1] < 20


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", pytest.param("gp", marks=pytest.mark.slow)])
def test_the_model_learns_what_is_feasible_and_good(name):
    """Against random: more of its proposals are feasible, or it gets nearer to the best rate and subset."""
    plan = make_plan(sampler=name, startup_trials=8)
    count = 22 if name == "gp" else 70

    def good(records):
        tail = records[count // 2 :]
        feasible = sum(latency_ms(r.candidate, r.quantization) <= LATENCY_LIMIT_MS for r in tail)
        return (feasible + sum(8 in r.candidate["dilations"] for r in tail)) / len(tail)

    model = good(evaluated(plan, plan.sampler(), count))
    chance = good(evaluated(plan, dataclasses.replace(plan.sampler(), name="random"), count))
    assert model > chance


def test_random_starts_count_only_trained_candidates():
    plan = make_plan(startup_trials=6, sampler="tpe")
    sampler = plan.sampler()
    at_random = dataclasses.replace(sampler, name="random")
    records = evaluated(plan, sampler, 30)
    trained = 0
    for number, record in enumerate(records):
        drawn = at_random.ask(number, records[:number], [])
        if trained < 6:
            assert drawn.candidate == record.candidate
        trained += record.state == "complete"
    assert trained > 6, "the model never took over"
    infeasible_starts = [r for r in records[:12] if r.state == "infeasible"]
    assert infeasible_starts, "the test needs a start that is infeasible"


def test_the_model_takes_over_where_hardly_anything_is_feasible():
    plan = make_plan(
        policy={"minimize": ["rmse_total"], "subject_to": ["latency_ms <= 3"]}, startup_trials=3, quantization=["int8"]
    )
    sampler = plan.sampler()
    records = evaluated(plan, sampler, 60)
    late = [latency_ms(r.candidate, r.quantization) for r in records[40:]]
    early = [latency_ms(r.candidate, r.quantization) for r in records[:30]]
    assert sum(late) / len(late) < 0.5 * sum(early) / len(early)


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2", "nsga3"])
def test_capacity_failures_and_failed_trials_do_not_confuse_a_model(name):
    plan = make_plan(sampler=name, startup_trials=2)
    records = evaluated(plan, dataclasses.replace(plan.sampler(), name="random"), 30)
    states = {record.state for record in records}
    assert states == {"complete", "infeasible", "failed"}
    assert any("capacity" in record.violations for record in records)
    assert plan.sampler().ask(30, records, []) is not None
    failed = [record for record in records if record.state == "failed"]
    assert plan.sampler().ask(1, failed, []) is not None


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2", "nsga3"])
def test_a_candidate_that_does_not_fit_ranks_behind_every_measured_one(name):
    plan = make_plan(sampler=name, policy={"minimize": ["rmse_total"], "subject_to": ["latency_ms <= 9"]})
    records = evaluated(plan, dataclasses.replace(plan.sampler(), name="random"), 30)
    told = [record for record in records if record.state != "failed"]
    trials = optuna_study(name, ENCODING, plan.study.policy, records, []).trials
    beyond = [sum(value for value in trial.constraints.values() if value > 0) for trial in trials]
    fits = [excess for excess, record in zip(beyond, told, strict=True) if record.price]
    unfit = [excess for excess, record in zip(beyond, told, strict=True) if not record.price]
    assert max(fits) > 1, "the test needs a candidate that is far too slow"
    assert min(unfit) > max(fits)


def test_a_small_space_is_searched_to_its_last_candidate(tmp_path):
    space = {**SPACE, "filters": IntAxis(10, 11), "rate": CategoricalAxis((0.0,))}
    space["dilations"] = SPACE["dilations"].narrow([[1, 8], [2, 8]])
    plan = make_plan(space=space, quantization=["int8"], trials=40, startup_trials=3)
    finished = run_stub(plan, tmp_path)
    assert finished.trials == 8 == plan.sampler().encoding.size
    assert "holds no other candidate" in finished.reason
