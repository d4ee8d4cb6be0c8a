import json

import pytest

from crest.errors import StudyError
from crest.study import Policy, parse_study, study_schema

STUDY = {"name": "s", "workload": {"w": {}}, "model": {"family": "f"}, "targets": "board"}


def study_of(policy):
    return parse_study({**STUDY, "policy": policy})


def policy_of(**policy):
    return study_of(policy).policy


def test_objectives_have_one_direction_each_and_one_order():
    policy = policy_of(
        maximize=["accuracy"], minimize=["latency_ms", "flops"], score=[{"metric": "accuracy", "weight": 2}]
    )
    assert policy.objectives == ("latency_ms", "flops", "accuracy", "score")
    values = {"accuracy": 0.9, "score": 1.8, "flops": 3.0, "other": 4.0}
    assert policy.losses(values) == {"flops": 3.0, "accuracy": -0.9, "score": -1.8}


def test_a_policy_without_the_newer_keys_is_written_as_before():
    written = study_of({"minimize": ["rmse_total"], "subject_to": ["ram_bytes <= 2K"]}).model_dump(mode="json")
    assert written["policy"] == {"minimize": ["rmse_total"], "subject_to": ["ram_bytes <= 2048"]}


@pytest.mark.parametrize(
    "policy",
    [
        {"maximize": ["accuracy"]},
        {"score": "published_audio", "subject_to": ["latency_ms <= 100"]},
        {"minimize": ["b"], "derive": {"b": "a / 2", "a": "log( latency_ms ) "}},
        {"score": [{"metric": "a", "weight": -0.5, "kind": "target", "reference": -2}]},
    ],
)
def test_a_policy_survives_the_ledger(policy):
    study = study_of(policy)
    written = json.loads(json.dumps(study.model_dump(mode="json"), sort_keys=True))
    assert parse_study(written) == study
    assert parse_study(written).canonical_sha256() == study.canonical_sha256()


def test_derived_metrics_come_behind_what_they_are_derived_from_and_know_what_they_stand_on():
    policy = policy_of(minimize=["c"], derive={"c": "b + a", "b": "2 * a", "a": "latency_ms * rmse_total"})
    assert list(policy.derived) == ["a", "b", "c"]
    assert policy.recorded("c") == {"latency_ms", "rmse_total"}
    assert policy.recorded("flops") == {"flops"}


def test_the_terms_of_a_score_are_those_published():
    metrics = {"a": 3.0, "b": 10.0}
    score = [
        {"metric": "a", "weight": 2},
        {"metric": "b", "weight": -0.5, "kind": "normalized", "reference": 4},
        {"metric": "a", "weight": 10, "kind": "boundary", "reference": 2.5},
        {"metric": "b", "weight": 7, "kind": "boundary", "reference": 20},
        {"metric": "b", "weight": 0.25, "kind": "target", "reference": 12},
        {"metric": "b", "weight": -0.25, "kind": "target", "reference": -2},
    ]
    expected = [6.0, -1.25, -5.0, 0.0, -0.5, 3.0]
    for term, value in zip(score, expected, strict=True):
        assert policy_of(score=[term]).derived["score"].evaluate(metrics) == pytest.approx(value)
    assert policy_of(score=score).derived["score"].evaluate(metrics) == pytest.approx(sum(expected))


def test_the_published_audio_score_is_the_f1_less_a_tenth_of_the_energy_over_400_mj():
    score = policy_of(score="published_audio").derived["score"]
    assert score.evaluate({"macro_f1": 0.8, "energy_per_inference_uj": 40_000.0}) == pytest.approx(0.8 - 0.1 * 40 / 400)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({}, ["policy", "no objective"]),
        ({"subject_to": ["latency_ms <= 3"]}, ["policy", "no objective"]),
        ({"maximize": []}, ["policy.maximize"]),
        ({"maximize": ["a", "a"]}, ["policy.maximize", "twice: a"]),
        ({"minimize": ["a"], "maximize": ["a"]}, ["policy", "twice: a"]),
        ({"minimize": ["a"], "derive": {"a": "latency_ms +"}}, ["policy.derive.a", "column 13"]),
        ({"minimize": ["a"], "derive": {"a": "print(b)"}}, ["policy.derive.a", "column 1", "no function 'print'"]),
        ({"minimize": ["a"], "derive": {"a": 3}}, ["policy.derive.a"]),
        ({"minimize": ["a"], "derive": {"A b": "c"}}, ["policy.derive", "'A b' cannot name"]),
        ({"minimize": ["a"], "derive": {"if": "c"}}, ["policy.derive", "'if' cannot name"]),
        ({"minimize": ["a"], "derive": {"log": "c"}}, ["policy.derive", "taken"]),
        ({"minimize": ["a"], "derive": {"score": "c"}}, ["policy.derive", "taken"]),
        ({"minimize": ["a"], "derive": {"a": "b", "b": "2 * a"}}, ["policy", "defined by each other", "a, b"]),
        ({"minimize": ["a"], "derive": {"a": "a + 1"}}, ["policy", "defined by each other"]),
        ({"score": "published_video"}, ["policy.score", "published_audio"]),
        ({"score": [{"metric": "a"}]}, ["policy.score.0.weight"]),
        ({"score": [{"metric": "a + b", "weight": 1}]}, ["policy.score.0.metric"]),
        ({"score": [{"metric": "a", "weight": 1, "reference": 2}]}, ["policy.score.0", "takes no reference"]),
        ({"score": [{"metric": "a", "weight": 1, "kind": "target"}]}, ["policy.score.0", "needs a reference"]),
        (
            {"score": [{"metric": "a", "weight": 1, "kind": "normalized", "reference": 0}]},
            ["policy.score.0", "normalized by zero"],
        ),
        ({"score": [{"metric": "a", "weight": 1, "kind": "cubic", "reference": 1}]}, ["policy.score.0.kind"]),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_the_place(policy, words):
    with pytest.raises(StudyError) as caught:
        study_of(policy)
    for word in words:
        assert word in str(caught.value)


def test_editors_are_offered_the_kinds_of_terms_and_the_published_score():
    definitions = study_schema()["definitions"]
    assert definitions["Term"]["properties"]["kind"]["enum"] == ["weighted", "normalized", "boundary", "target"]
    policy = definitions[Policy.__name__]["properties"]
    assert {"enum": ["published_audio"]} in policy["score"]["anyOf"]
    assert policy["derive"]["additionalProperties"]["type"] == "string"
