import dataclasses
import functools
import itertools
import json
import math

import pytest
from search_stubs import LATENCY_LIMIT_MS, SPACE, Stub, make_plan, measurement, run_stub, stub_evaluators

from crest.errors import (
    BackendError,
    DataError,
    EmulationError,
    LedgerError,
    MissingExtraError,
    StudyError,
    ToolchainError,
    TrainingError,
)
from crest.ledger import FinishedRecord, MemberRecord, RejectedRecord, TrialRecord, content, read_ledger
from crest.models.axes import IntAxis
from crest.search import events
from crest.search.contracts import Evaluators, Priced, Trained
from crest.search.policy import front_of


def trials_of(folder):
    return [record for record in read_ledger(folder / "ledger.jsonl") if isinstance(record, TrialRecord)]


def front_numbers(records):
    return tuple(point.number for point in front_of(make_plan().study.policy, records))


def content_of(folder):
    return content(read_ledger(folder / "ledger.jsonl"))


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    seen = []
    finished = run_stub(make_plan(), folder, on_event=seen.append)
    return folder, finished, seen


class Odd(Stub):
    """A stub with some behaviour replaced."""

    def __init__(self, **methods):
        super().__init__()
        for name, method in methods.items():
            setattr(self, name, functools.partial(method, super()))


def evaluators(stub):
    return lambda: Evaluators(pricer=stub, trainer=stub)


def test_a_search_trains_as_many_as_asked_for(finished_run):
    folder, finished, _ = finished_run
    trials = trials_of(folder)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert sum(trial.state == "complete" for trial in trials) == 16
    assert {trial.state for trial in trials} == {"complete", "infeasible", "failed"}
    assert finished.trials == len(trials)
    assert finished.reason == "trained 16 candidates"


def test_every_trial_tells_how_it_ended(finished_run):
    for trial in trials_of(finished_run[0]):
        if trial.state == "failed":
            assert trial.reason.startswith(("TrainingError: diverged", "EmulationError: bus fault"))
            assert not trial.objectives
        elif trial.price is None:
            assert trial.reason == "CapacityError: does not fit (take fewer filters)"
            assert trial.violations == {"capacity": 1.0}
        elif trial.state == "infeasible":
            latency = trial.price.latency_ms.value
            assert latency > LATENCY_LIMIT_MS
            assert trial.reason == f"latency_ms is {latency:.6g}, which breaks latency_ms <= 60"
            assert trial.violations == {"latency_ms <= 60": pytest.approx(latency / 60 - 1)}
            assert trial.training is None
        else:
            assert trial.price.latency_ms.value <= LATENCY_LIMIT_MS
            assert trial.objectives["rmse_total"] == trial.metrics["rmse_total"]
            assert trial.objectives["energy_per_inference_uj"] == trial.price.energy_per_inference_uj.value
            assert trial.training.epochs == 3
            assert trial.model == f"models/{trial.number}"


def test_nothing_infeasible_is_trained(tmp_path):
    log = tmp_path / "log"
    run_stub(make_plan(), tmp_path, evaluators=functools.partial(stub_evaluators, str(log)))
    trained = [int(line.split()[1]) for line in log.read_text().splitlines()]
    assert trained == [t.number for t in trials_of(tmp_path) if t.state == "complete" or "Training" in str(t.reason)]


def test_the_front_is_that_of_the_verified_numbers(finished_run):
    folder, finished, _ = finished_run
    records = read_ledger(folder / "ledger.jsonl")
    members = {record.number: record for record in records if isinstance(record, MemberRecord)}
    trials = {record.number: record for record in trials_of(folder)}
    assert finished.front
    assert set(finished.front) <= members.keys()
    assert front_numbers(members.get(number, trial) for number, trial in trials.items()) == finished.front
    for number, member in members.items():
        assert member.objectives["energy_per_inference_uj"] == member.measurement.energy_per_inference_uj.value
        ratio = member.measurement.cycles.value / trials[number].price.cycles.value
        assert member.price_difference_pct == pytest.approx(100 * (ratio - 1))
    assert isinstance(records[-1], FinishedRecord)


def test_events_tell_the_story_in_order(finished_run):
    folder, finished, seen = finished_run
    assert seen[0] == events.RunStarted("stub", 0, {})
    assert seen[-1] == events.RunFinished(finished)
    trials = [event.record for event in seen if isinstance(event, events.TrialFinished)]
    assert trials == trials_of(folder)
    fronts = [event.front for event in seen if isinstance(event, events.FrontChanged)]
    assert fronts[-1] == front_of(make_plan().study.policy, trials)
    assert all(before != after for before, after in itertools.pairwise(fronts))
    complete = next(trial for trial in trials if trial.state == "complete")
    kinds = [type(event).__name__ for event in seen if getattr(event, "number", None) == complete.number]
    assert kinds[:5] == ["TrialStarted", "TrialPriced", "EpochEnded", "EpochEnded", "EpochEnded"]
    assert [e.record.number for e in seen if isinstance(e, events.MemberFinished)] == [
        e.number for e in seen if isinstance(e, events.MemberStarted)
    ]


EVERY_SAMPLER = ["tpe", "nsga2", "nsga3", "random", "grid", pytest.param("gp", marks=pytest.mark.slow)]
SHORT = {"trials": 8, "startup_trials": 4}
"""A Gaussian process takes a second for a proposal."""


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_the_same_seed_gives_the_same_ledger(tmp_path, sampler):
    options = {"sampler": sampler, **(SHORT if sampler == "gp" else {})}
    plan = make_plan(**options)
    for name in ("one", "two"):
        run_stub(plan, tmp_path / name)
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")
    run_stub(make_plan(**options | {"seed": 8}), tmp_path / "other")
    assert [t.candidate for t in trials_of(tmp_path / "other")] != [t.candidate for t in trials_of(tmp_path / "one")]


def test_workers_change_nothing(tmp_path, finished_run):
    folder, finished, _ = finished_run
    log, seen = tmp_path / "log", []
    make = functools.partial(stub_evaluators, str(log), 0.02)
    result = run_stub(make_plan(workers=2), tmp_path, evaluators=make, on_event=seen.append)
    assert result.front == finished.front
    assert content(read_ledger(tmp_path / "ledger.jsonl")[1:]) == content(read_ledger(folder / "ledger.jsonl")[1:])
    started = [event.number for event in seen if isinstance(event, events.TrialStarted)]
    assert sorted(started) == list(range(result.trials))
    epochs = [event for event in seen if isinstance(event, events.EpochEnded)]
    assert len(epochs) == 3 * len(log.read_text().splitlines())


def test_a_finished_run_is_not_repeated(tmp_path):
    plan = make_plan()
    first = run_stub(plan, tmp_path)
    before = (tmp_path / "ledger.jsonl").read_bytes()
    seen = []
    assert run_stub(plan, tmp_path, evaluators=lambda: 1 / 0, finisher=None, on_event=seen.append) == first
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    assert seen[0].recorded_trials == first.trials


def test_a_run_cut_anywhere_resumes_to_the_same_end(tmp_path, finished_run):
    """Power loss: the file ends at any byte. Nothing that is recorded is done again."""
    whole = (finished_run[0] / "ledger.jsonl").read_bytes()
    expected = content_of(finished_run[0])
    ledger = tmp_path / "ledger.jsonl"
    for step in range(12):
        log = tmp_path / f"log{step}"
        ledger.write_bytes(whole[: len(whole) * step // 12])
        kept = read_ledger(ledger)
        make = functools.partial(stub_evaluators, str(log))
        run_stub(make_plan(), tmp_path, evaluators=make, finisher=Stub(str(log)))
        assert content_of(tmp_path) == expected
        recorded = {("train", str(r.number)) for r in kept if isinstance(r, TrialRecord)}
        recorded |= {("finish", str(r.number)) for r in kept if isinstance(r, MemberRecord)}
        done = [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []
        assert len(done) == len(set(done))
        assert not recorded & set(done)


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_every_sampler_goes_on_where_its_run_was_cut(tmp_path, sampler):
    plan = make_plan(sampler=sampler, **SHORT if sampler == "gp" else {"startup_trials": 4})
    run_stub(plan, tmp_path / "whole")
    lines = (tmp_path / "whole" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    ledger = tmp_path / "cut" / "ledger.jsonl"
    ledger.parent.mkdir()
    trials = len(trials_of(tmp_path / "whole"))
    for kept in range(1, trials + 1, 5 if sampler == "gp" else 2):
        ledger.write_bytes(b"".join(lines[:kept]))
        run_stub(plan, ledger.parent)
        assert content_of(ledger.parent) == content_of(tmp_path / "whole")


def test_another_study_in_the_same_folder_is_refused(tmp_path):
    run_stub(make_plan(trials=2), tmp_path)
    with pytest.raises(LedgerError, match=r"another study.*search\.seed"):
        run_stub(make_plan(trials=2, seed=9), tmp_path)
    with pytest.raises(LedgerError, match="data of the workload"):
        run_stub(dataclasses.replace(make_plan(trials=2), workload_fingerprint="data 2"), tmp_path)


def test_changed_versions_are_told_not_refused(tmp_path):
    run_stub(make_plan(trials=2), tmp_path)
    seen = []
    newer = dataclasses.replace(make_plan(trials=2), versions={"crest": "newer", "optuna": "5"})
    run_stub(newer, tmp_path, on_event=seen.append)
    assert seen[0].changed_versions == {"crest": ("test", "newer"), "optuna": ("absent", "5")}


def test_a_ledger_with_a_missing_trial_or_a_foreign_candidate_is_refused(tmp_path):
    run_stub(make_plan(), tmp_path)
    path = tmp_path / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(LedgerError, match="trial 2 stands where trial 1 belongs"):
        run_stub(make_plan(), tmp_path)
    path.write_bytes(b"".join(lines[:5]))
    narrower = dataclasses.replace(make_plan(), space={**SPACE, "filters": IntAxis(62, 63)})
    with pytest.raises(LedgerError, match=r"trial 0.*filters"):
        run_stub(narrower, tmp_path)


@pytest.mark.parametrize(
    ("kind", "method"), [(EmulationError, "price"), (TrainingError, "train"), (ToolchainError, "price")]
)
def test_when_everything_fails_by_one_cause_the_search_says_so(tmp_path, kind, method):
    def fail(*_):
        raise kind("zig: no such file", hint="install it")

    stub = Odd(**{method: fail})
    for _ in range(2):
        with pytest.raises(kind, match=r"first 5 candidates all failed.*zig: no such file.*install it") as caught:
            run_stub(
                make_plan(
                    policy={"minimize": ["rmse_total"]},
                    space={"filters": IntAxis(2, 9), **{key: SPACE[key] for key in ("rate", "skip", "dilations")}},
                    quantization=["int8"],
                    batch=1,
                ),
                tmp_path,
                evaluators=evaluators(stub),
            )
        assert "run folder" in caught.value.hint
    failures = [trial for trial in trials_of(tmp_path) if trial.state == "failed"]
    assert len(failures) == 5


def test_an_error_that_is_no_candidates_fault_ends_the_search_unrecorded(tmp_path):
    calls = []

    def break_later(stub, *arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise DataError("recording 7 is gone")
        return stub.train(*arguments)

    with pytest.raises(DataError, match="recording 7"):
        run_stub(make_plan(), tmp_path, evaluators=evaluators(Odd(train=break_later)))
    kept = trials_of(tmp_path)
    run_stub(make_plan(), tmp_path)
    assert trials_of(tmp_path)[: len(kept)] == kept


def test_an_error_in_a_worker_process_comes_through_and_ends_the_workers(tmp_path):
    with pytest.raises(DataError, match="no data here") as caught:
        run_stub(make_plan(workers=2), tmp_path, evaluators=broken_data)
    assert caught.value.hint == "fetch it"
    assert read_ledger(tmp_path / "ledger.jsonl")[1:] == []


def broken_data():
    def fail(*_):
        raise DataError("no data here", hint="fetch it")

    stub = Odd(train=fail, price=lambda stub, *_: Priced(measurement(1.0, energy_uj=1.0), {}, ""))
    return Evaluators(pricer=stub, trainer=stub)


def test_a_worker_that_dies_is_reported(tmp_path):
    with pytest.raises(TrainingError, match="worker process died"):
        run_stub(make_plan(workers=2), tmp_path, evaluators=dying)


def dying():
    import os

    os._exit(139)


def test_a_search_in_which_nothing_is_feasible_names_the_nearest(tmp_path):
    policy = {"minimize": ["rmse_total"], "subject_to": ["latency_ms <= 0.5"]}
    plan = make_plan(policy=policy, trials=2, startup_trials=2)
    for _ in range(2):
        with pytest.raises(
            StudyError, match=r"no candidate meets.*40 proposed.*nearest was trial \d+: latency_ms is"
        ) as caught:
            run_stub(plan, tmp_path)
        assert "relax" in caught.value.hint
    trials = trials_of(tmp_path)
    assert len(trials) == 40
    nearest = min((t for t in trials if t.price), key=lambda t: t.price.latency_ms.value)
    assert f"nearest was trial {nearest.number}" in str(caught.value)


def test_a_search_that_reaches_its_limit_keeps_what_it_has(tmp_path):
    policy = {"minimize": ["rmse_total", "latency_ms"], "subject_to": ["latency_ms <= 5"]}
    finished = run_stub(make_plan(policy=policy, trials=6, startup_trials=3, sampler="random", seed=3), tmp_path)
    assert finished.trials == 120
    assert "limit of 20 proposals" in finished.reason
    assert finished.front


def test_an_error_constraint_keeps_a_trained_candidate_off_the_front(tmp_path):
    policy = {"minimize": ["energy_per_inference_uj"], "subject_to": ["rmse_total <= 0.8"]}
    finished = run_stub(make_plan(policy=policy), tmp_path)
    trials = trials_of(tmp_path)
    broken = [t for t in trials if t.state == "complete" and t.violations["rmse_total <= 0.8"] > 0]
    assert broken
    assert all("breaks rmse_total <= 0.8" in trial.reason for trial in broken)
    assert not {trial.number for trial in broken} & set(finished.front)


def test_a_missed_deadline_is_infeasible(tmp_path):
    def late(stub, candidate, *rest):
        priced = stub.price(candidate, *rest)
        if candidate["filters"] % 2:
            slow = measurement(priced.measurement.latency_ms.value, missed=True)
            return dataclasses.replace(priced, measurement=slow)
        return priced

    run_stub(make_plan(), tmp_path, evaluators=evaluators(Odd(price=late)))
    missed = [t for t in trials_of(tmp_path) if t.price and t.price.deadline_missed]
    assert missed
    for trial in missed:
        assert trial.state == "infeasible"
        assert trial.reason.startswith("misses the deadline of its schedule (cadenced 200 ms)")
        assert trial.violations["deadline"] == 1.0


def test_a_metric_without_a_value_fails_before_training(tmp_path):
    def without_energy(stub, *arguments):
        return dataclasses.replace(stub.price(*arguments), measurement=measurement(1.0))

    log = []
    odd = Odd(price=without_energy, train=lambda stub, *_: log.append(1))
    with pytest.raises(
        BackendError, match=r"first 20 candidates all failed.*energy_per_inference_uj has no value: no energy"
    ):
        run_stub(
            make_plan(space={**SPACE, "filters": IntAxis(2, 9)}, quantization=["int8"], batch=1, seed=1),
            tmp_path,
            evaluators=evaluators(odd),
        )
    assert not log


@pytest.mark.parametrize("what", ["metric", "loss", "absent"])
def test_a_training_without_a_finite_result_is_a_failed_trial(tmp_path, what):
    def spoiled(stub, number, *rest):
        done = stub.train(number, *rest)
        if number % 2:
            return done
        if what == "metric":
            return dataclasses.replace(done, metrics={**done.metrics, "rmse_x": math.inf})
        if what == "absent":
            return dataclasses.replace(done, metrics={"rmse_x": 1.0})
        return Trained(done.metrics, done.summary.model_copy(update={"validation_loss": (math.nan,)}), done.model_path)

    run_stub(make_plan(trials=4), tmp_path, evaluators=evaluators(Odd(train=spoiled)))
    words = {"metric": "rmse_x is inf", "loss": "validation loss is not finite", "absent": "rmse_total has no value"}
    reasons = [trial.reason for trial in trials_of(tmp_path) if trial.number % 2 == 0 and trial.state == "failed"]
    assert any(words[what] in reason for reason in reasons)
    assert all(trial.number % 2 for trial in trials_of(tmp_path) if trial.state == "complete")


def test_a_rejected_member_lets_the_next_ones_onto_the_front(tmp_path, finished_run):
    reference = finished_run[1]
    bad = set(reference.front[:2])

    def picky(stub, record):
        if record.number in bad:
            raise EmulationError("golden outputs differ")
        return stub.finish(record)

    finished = run_stub(make_plan(), tmp_path, finisher=Odd(finish=picky))
    records = read_ledger(tmp_path / "ledger.jsonl")
    rejected = [record for record in records if isinstance(record, RejectedRecord)]
    assert {record.number for record in rejected} == bad
    assert all(record.reason == "EmulationError: golden outputs differ" for record in rejected)
    assert not bad & set(finished.front)
    members = {record.number: record for record in records if isinstance(record, MemberRecord)}
    remaining = [members.get(t.number, t) for t in trials_of(tmp_path) if t.number not in bad]
    assert front_numbers(remaining) == finished.front


def test_a_member_that_breaks_a_constraint_in_its_final_form_leaves_the_front(tmp_path, finished_run):
    heavy = finished_run[1].front[0]

    def grown(stub, record):
        done = stub.finish(record)
        if record.number == heavy:
            return dataclasses.replace(done, measurement=measurement(LATENCY_LIMIT_MS + 1, energy_uj=1.0))
        return done

    finished = run_stub(make_plan(), tmp_path, finisher=Odd(finish=grown))
    assert heavy not in finished.front
    member = next(
        r for r in read_ledger(tmp_path / "ledger.jsonl") if isinstance(r, MemberRecord) and r.number == heavy
    )
    assert member.violations["latency_ms <= 60"] > 0


def test_when_no_member_holds_the_search_says_so(tmp_path):
    def fail(*_):
        raise EmulationError("golden outputs differ")

    with pytest.raises(StudyError, match="none of the 4 best candidates holds"):
        run_stub(make_plan(trials=4), tmp_path, finisher=Odd(finish=fail))


def test_the_ledger_is_plain_json_lines(finished_run):
    for line in (finished_run[0] / "ledger.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"crc32", "record"}


def test_a_member_that_misses_its_deadline_leaves_the_front(tmp_path):
    """The deadline is a hard constraint on the final price, too."""

    class LateFinisher:
        def __init__(self, inner):
            self.inner = inner
            self.late: set[int] = set()

        def finish(self, record):
            finished = self.inner.finish(record)
            if not self.late:
                self.late.add(record.number)
                late = finished.measurement.model_copy(update={"deadline_missed": True})
                return dataclasses.replace(finished, measurement=late)
            return finished

    finisher = LateFinisher(Stub())
    finished = run_stub(make_plan(), tmp_path, finisher=finisher)
    assert finisher.late and not finisher.late & set(finished.front)


def broken_evaluators():
    raise MissingExtraError("nothing is installed", hint="install it")


@pytest.mark.parametrize("workers", [1, 2])
def test_evaluators_that_cannot_be_built_say_why(tmp_path, workers):
    with pytest.raises(MissingExtraError, match="nothing is installed") as caught:
        run_stub(make_plan(workers=workers), tmp_path, evaluators=broken_evaluators)
    assert caught.value.hint == "install it"
