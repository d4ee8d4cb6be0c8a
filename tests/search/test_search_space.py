"""The code of a space with conditional and set-valued choices: unique, complete, and the same in both directions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_stubs import make_plan, run_stub

from crest.errors import ModelError, StudyError
from crest.ledger import TrialRecord, read_ledger
from crest.models.axes import CategoricalAxis, ConditionalAxis, IntAxis, SubsetAxis, narrow_space
from crest.models.family import check_candidate
from crest.models.space import candidate_at, space_size
from crest.search.contracts import Proposal
from crest.search.encoding import Encoding, proposal_key
from crest.search.history import optuna_study

SPACE = {
    "kind": CategoricalAxis(("plain", "gated", "pooled")),
    "taps": ConditionalAxis("kind", ("gated", "pooled"), IntAxis(2, 4)),
    "pool": ConditionalAxis("kind", ("pooled",), CategoricalAxis(("max", "mean"))),
    "window": ConditionalAxis("pool", ("mean",), SubsetAxis((1, 2, 4), 1, 2)),
    "width": IntAxis(1, 3),
}
# plain 1, gated 3, pooled 3 * (max 1 + mean 6); three widths each.
SIZE = (1 + 3 + 3 * 7) * 3
ENCODING = Encoding(SPACE, ("int8", "float32"))


def any_parameters(draw_index):
    """Parameters drawn at random within their distributions, as a sampler would."""
    rng = np.random.default_rng(draw_index)
    found = {}
    for name, distribution in ENCODING.distributions().items():
        if hasattr(distribution, "choices"):
            found[name] = distribution.choices[int(rng.integers(len(distribution.choices)))]
        else:
            found[name] = int(rng.integers(distribution.low, distribution.high + 1))
    return found


def test_every_candidate_has_one_number():
    assert space_size(SPACE) == SIZE
    candidates = [candidate_at(SPACE, index) for index in range(SIZE)]
    for candidate in candidates:
        check_candidate(SPACE, candidate)
        assert list(candidate) == [name for name in SPACE if name in candidate]
    assert len({proposal_key(Proposal(candidate, "int8")) for candidate in candidates}) == SIZE
    proposals = {proposal_key(ENCODING.at(index)) for index in range(ENCODING.size)}
    assert len(proposals) == ENCODING.size == 2 * SIZE


def test_numbers_reach_everything_that_can_be_drawn():
    proposals = {proposal_key(ENCODING.at(index)) for index in range(ENCODING.size)}
    assert {proposal_key(ENCODING.sample((seed,))) for seed in range(6000)} == proposals
    assert {proposal_key(ENCODING.decode(any_parameters(seed))) for seed in range(6000)} == proposals


@given(st.integers(min_value=0, max_value=2 * SIZE - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_candidate_survives_its_code(index, fixed_length):
    proposal = ENCODING.at(index)
    params = ENCODING.encode(proposal, fixed_length=fixed_length)
    assert ENCODING.decode(params) == proposal
    if fixed_length:
        assert params.keys() == ENCODING.distributions().keys()
    else:
        assert ("taps" in params) == (proposal.candidate["kind"] != "plain")
    for name, value in params.items():
        assert ENCODING.distributions()[name]._contains(ENCODING.distributions()[name].to_internal_repr(value))


@given(st.integers(min_value=0, max_value=10_000))
@settings(max_examples=100, deadline=None)
def test_codes_that_differ_in_what_does_not_exist_are_one_candidate(seed):
    params = any_parameters(seed)
    proposal = ENCODING.decode(params)
    check_candidate(SPACE, proposal.candidate)
    absent = [name for name in SPACE if name not in proposal.candidate]
    other = any_parameters(seed + 1)
    for name in params:
        if name.partition("[")[0] in absent:
            params[name] = other[name]
    assert proposal_key(ENCODING.decode(params)) == proposal_key(proposal)


def test_a_value_that_cannot_exist_is_refused_and_one_that_must_is_required():
    with pytest.raises(ModelError, match=r"'taps' has a value, but does not exist under its kind") as caught:
        check_candidate(SPACE, {"kind": "plain", "taps": 2, "width": 1})
    assert "gated, pooled" in caught.value.hint
    with pytest.raises(ModelError, match="no value for the axis 'taps'"):
        check_candidate(SPACE, {"kind": "gated", "width": 1})
    with pytest.raises(ModelError, match="taps = 9 is outside"):
        check_candidate(SPACE, {"kind": "gated", "taps": 9, "width": 1})


def test_a_study_narrows_conditional_axes_and_drops_those_without_a_condition():
    narrowed = narrow_space(SPACE, {"kind": ["plain", "gated"], "taps": 3}, "model.space")
    assert list(narrowed) == ["kind", "taps", "width"]
    assert narrowed["taps"].axis == IntAxis(3, 3)
    assert space_size(narrowed) == 2 * 3
    with pytest.raises(StudyError, match=r"model\.space\.pool: no such axis is left") as caught:
        narrow_space(SPACE, {"kind": ["plain", "gated"], "pool": "max"}, "model.space")
    assert "kind: pooled" in caught.value.hint
    with pytest.raises(StudyError, match=r"model\.space\.taps: \[1, 3\] is not within"):
        narrow_space(SPACE, {"taps": [1, 3]}, "model.space")


def conditional_plan(**search):
    """The stub's problem, where the rate exists only with skip connections, and dilations may be given two ways."""
    space = {
        "filters": IntAxis(2, 30),
        "skip": CategoricalAxis((True, False)),
        "rate": CategoricalAxis((0.0, 0.1)),
        "bonus": ConditionalAxis("skip", (True,), CategoricalAxis((0.0, 0.1, 0.2))),
        "window": ConditionalAxis("skip", (False,), SubsetAxis((1, 2, 4), 1, 2)),
        "dilations": SubsetAxis((1, 2, 4, 8, 16, 32), 2, 4),
    }
    return make_plan(space=space, **search)


@pytest.mark.parametrize(
    "name", ["tpe", "nsga2", "nsga3", pytest.param("gp", marks=pytest.mark.slow), "random", "grid"]
)
def test_every_sampler_searches_a_space_with_conditions(tmp_path, name):
    trials = 14 if name == "gp" else 40
    plan = conditional_plan(sampler=name, trials=trials, startup_trials=6)
    run_stub(plan, tmp_path)
    records = [record for record in read_ledger(tmp_path / "ledger.jsonl") if isinstance(record, TrialRecord)]
    for record in records:
        check_candidate(plan.space, record.candidate)
    keys = [proposal_key(Proposal(record.candidate, record.quantization)) for record in records]
    assert len(set(keys)) == len(keys) >= trials
    assert {"bonus" in record.candidate for record in records} == {True, False}


def test_what_does_not_exist_is_not_told_to_tpe(tmp_path):
    plan = conditional_plan(sampler="random")
    run_stub(plan, tmp_path)
    records = [record for record in read_ledger(tmp_path / "ledger.jsonl") if isinstance(record, TrialRecord)]
    told = [record for record in records if record.state != "failed"]
    by_tpe = optuna_study("tpe", plan.encoding, plan.study.policy, records, []).trials
    by_gp = optuna_study("gp", plan.encoding, plan.study.policy, records, []).trials
    for record, loose, fixed in zip(told, by_tpe, by_gp, strict=True):
        assert ("bonus" in loose.params) == record.candidate["skip"]
        assert fixed.params.keys() == plan.encoding.distributions().keys()


def test_a_set_is_one_flag_an_element():
    axis = SubsetAxis((1, 2, 4, 8), 1, 3)
    encoding = Encoding({"dilations": axis}, ("int8",))
    assert set(encoding.distributions()) == {"@quantization", *(f"dilations[{element}]" for element in axis.elements)}
    decoded = set()
    for flags in itertools.product([False, True], repeat=4):
        params = {f"dilations[{e}]": flag for e, flag in zip(axis.elements, flags, strict=True)} | {"@quantization": 0}
        value = encoding.decode(params).candidate["dilations"]
        assert value == sorted(value)
        assert 1 <= len(value) <= 3
        decoded.add(tuple(value))
    assert decoded == set(axis.values())
    assert len(decoded) == axis.size == 14
