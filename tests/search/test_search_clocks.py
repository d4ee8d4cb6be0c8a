"""A study of several clocks: every trained candidate at each of them, exactly what a study of that clock would find."""

from collections import Counter

import pytest
from search_stubs import Stub, make_plan, run_stub, stub_evaluators

from crest.errors import CapacityError, EmulationError
from crest.ledger import (
    FinishedRecord,
    MemberRecord,
    PointKey,
    RejectedRecord,
    TrialRecord,
    content,
    read_ledger,
)
from crest.pareto import dominates
from crest.search.contracts import Evaluators, Proposal
from crest.search.encoding import Encoding
from crest.search.history import optuna_study
from crest.search.points import as_one
from crest.search.policy import front_of, is_eligible
from crest.search.trial import Job, evaluate_trial

CLOCKS_MHZ = (64.0, 16.0, 160.0)
LIMIT_MS = 25
BOTH = {
    "minimize": ["rmse_total", "energy_per_inference_uj", "latency_ms"],
    "subject_to": [f"latency_ms <= {LIMIT_MS}"],
}


class Noting(Stub):
    """Notes every price, training and finished member with its clock; ``spoil`` may raise first."""

    def __init__(self, spoil=lambda *arguments: None):
        super().__init__()
        self.done = []
        self.spoil = spoil

    def price(self, candidate, quantization, clock_mhz):
        self.spoil("price", candidate, clock_mhz)
        self.done.append(("price", str(candidate) + quantization, clock_mhz))
        return super().price(candidate, quantization, clock_mhz)

    def train(self, number, *rest):
        self.done.append(("train", number, None))
        return super().train(number, *rest)

    def finish(self, record):
        self.spoil("finish", record, record.price.clock_mhz)
        self.done.append(("finish", record.number, record.price.clock_mhz))
        return super().finish(record)

    def evaluators(self):
        return Evaluators(pricer=self, trainer=self)


def search(plan, folder, stub):
    return run_stub(plan, folder, evaluators=stub.evaluators, finisher=stub)


def records_of(folder, kind):
    return [record for record in read_ledger(folder / "ledger.jsonl") if isinstance(record, kind)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, stub = tmp_path_factory.mktemp("clocks"), Noting()
    finished = search(make_plan(policy=BOTH, clock_mhz=CLOCKS_MHZ), folder, stub)
    return folder, finished, stub


def test_every_point_is_that_of_a_study_of_its_clock_alone(run):
    policy = make_plan(policy=BOTH).study.policy
    untold = {"price_seconds": 0.0, "train_seconds": 0.0, "recorded_at": "", "host": ""}
    seen = Counter()
    for trial in records_of(run[0], TrialRecord):
        points = {point.key.clock_mhz: point for point in trial.points if point.price}
        seen[len(points)] += 1
        for clock_mhz, point in points.items():
            job = Job(trial.number, Proposal(trial.candidate, trial.quantization), "board", policy, (clock_mhz,))
            alone = evaluate_trial(job, stub_evaluators(), lambda event: None)
            seen[point.state, trial.state] += 1
            untrained = {}
            if point.state == "infeasible":  # alone it would not have been trained
                untrained = {name: getattr(alone, name) for name in ("metrics", "training", "model")}
            assert point.model_copy(update=untold | untrained) == alone.model_copy(update=untold)
    assert seen[3] > 10
    assert seen["complete", "complete"] > seen["infeasible", "complete"] > 0 < seen["infeasible", "infeasible"]


def test_a_candidate_is_trained_once_and_priced_once_at_each_clock(run):
    folder, finished, stub = run
    counts = Counter(stub.done)
    assert set(counts.values()) == {1}
    words = Counter(word for word, *_ in stub.done)
    assert words["price"] == 3 * finished.trials
    assert words["train"] == sum(
        t.state == "complete" or "diverged" in t.reason for t in records_of(folder, TrialRecord)
    )


def test_a_candidate_is_infeasible_only_if_it_is_so_at_every_clock(run):
    trials = records_of(run[0], TrialRecord)
    assert any(t.state == "infeasible" and t.price for t in trials)
    for trial in trials:
        prices = [point.price for point in trial.points if point.price]
        if prices:
            met = [price.latency_ms.value <= LIMIT_MS for price in prices]
            assert (trial.state == "infeasible") == (not any(met))


def test_the_front_is_exact_over_candidates_and_clocks(run):
    folder, finished, _ = run
    members = {record.key: record for record in records_of(folder, MemberRecord)}
    front = set(map(PointKey, finished.front, finished.clocks_mhz))
    assert front <= members.keys()
    assert len(front) == len(finished.front) > len({point.number for point in front}), "a trial at several clocks"
    assert len({point.clock_mhz for point in front}) == 3
    points = {p.key: members.get(p.key, p) for t in records_of(folder, TrialRecord) for p in t.points}
    eligible = {
        key: [point.objectives[name] for name in BOTH["minimize"]]
        for key, point in points.items()
        if getattr(point, "state", "complete") == "complete" and max(point.violations.values()) <= 0
    }
    assert front == {
        key for key, values in eligible.items() if not any(dominates(other, values) for other in eligible.values())
    }
    for point in points:
        assert finished.holds(point) == (point in front)


def test_a_network_of_the_front_is_verified_at_every_feasible_clock(tmp_path):
    policy = {**BOTH, "minimize": ["rmse_total", "energy_per_inference_uj"]}
    finished = search(make_plan(policy=policy, clock_mhz=CLOCKS_MHZ), tmp_path, Noting())
    assert len(finished.front) == len(set(finished.front)), "each network at its cheapest clock alone"
    points = [point for trial in records_of(tmp_path, TrialRecord) for point in trial.points if is_eligible(point)]
    members = [record.key for record in records_of(tmp_path, MemberRecord)]
    wanted = [point.key for point in points if point.number in finished.front]
    assert len(wanted) > len(finished.front)
    assert [point for point in members if point.number in finished.front] == sorted(wanted, key=members.index)


def test_a_run_of_several_clocks_resumes_and_repeats_nothing(run, tmp_path):
    whole = (run[0] / "ledger.jsonl").read_bytes()
    expected = content(read_ledger(run[0] / "ledger.jsonl"))
    ledger = tmp_path / "ledger.jsonl"
    for step in range(1, 10):
        ledger.write_bytes(whole[: len(whole) * step // 10])
        kept = read_ledger(ledger)
        stub = Noting()
        search(make_plan(policy=BOTH, clock_mhz=CLOCKS_MHZ), tmp_path, stub)
        assert content(read_ledger(ledger)) == expected
        recorded = {("train", r.number, None) for r in kept if isinstance(r, TrialRecord)}
        recorded |= {("finish", *r.key) for r in kept if isinstance(r, MemberRecord)}
        assert not recorded & set(stub.done)
        assert set(Counter(stub.done).values()) <= {1}


def test_workers_change_nothing_at_several_clocks(run, tmp_path):
    run_stub(make_plan(policy=BOTH, clock_mhz=CLOCKS_MHZ, workers=2), tmp_path)
    one, other = (content(read_ledger(folder / "ledger.jsonl")[1:]) for folder in (run[0], tmp_path))
    assert one == other


def test_one_clock_leaves_the_ledger_as_it_was(tmp_path):
    for name, clock_mhz in (("named", 64), ("listed", [64])):
        run_stub(make_plan(clock_mhz=clock_mhz), tmp_path / name)
    assert content(read_ledger(tmp_path / "named" / "ledger.jsonl")) == content(
        read_ledger(tmp_path / "listed" / "ledger.jsonl")
    )
    run_stub(make_plan(), tmp_path / "fastest")
    text = (tmp_path / "fastest" / "ledger.jsonl").read_text()
    assert "alternatives" not in text and "clocks_mhz" not in text


def test_a_policy_that_no_clock_changes_takes_the_first_named(tmp_path):
    policy = {"minimize": ["rmse_total", "flash_bytes"], "subject_to": ["latency_ms <= 150"]}
    finished = run_stub(make_plan(policy=policy, clock_mhz=CLOCKS_MHZ), tmp_path)
    assert len(finished.front) == len(set(finished.front)) > 1
    assert set(finished.clocks_mhz) == {CLOCKS_MHZ[0]}


def test_with_one_objective_each_candidate_has_its_best_clock(tmp_path):
    policy = {"minimize": ["energy_per_inference_uj"], "subject_to": ["latency_ms <= 60", "rmse_total <= 1"]}
    finished = run_stub(make_plan(policy=policy, clock_mhz=CLOCKS_MHZ), tmp_path)
    assert len(finished.front) == 1
    chosen = Counter()
    for trial in records_of(tmp_path, TrialRecord):
        if trial.state == "complete":
            allowed = [p for p in trial.points if p.state == "complete" and max(p.violations.values()) <= 0]
            cheapest = min(allowed or trial.points[:1], key=lambda p: p.objectives["energy_per_inference_uj"])
            assert trial.key == cheapest.key
            chosen[trial.key.clock_mhz] += 1
    assert len(chosen) > 1, "the limit on latency should rule the slow clock out for some"


def test_the_point_of_a_trial_is_on_its_own_front_and_what_samplers_are_told(run):
    plan = make_plan(policy=BOTH, clock_mhz=CLOCKS_MHZ)
    trials = [t for t in records_of(run[0], TrialRecord) if t.state == "complete"]
    for trial in trials:
        assert trial.points[0].key == trial.key
        assert trial.key in front_of(plan.study.policy, trial.points)
        assert as_one(trial.points[::-1], plan.study.policy) == as_one(trial.points, plan.study.policy)
    told = optuna_study("tpe", Encoding(plan.space, plan.study.quantization), plan.study.policy, trials, [])
    assert [t.values for t in told.trials] == [[t.objectives[name] for name in BOTH["minimize"]] for t in trials]


def spoiled_trial(**errors):
    """A trial whose price raises what is named for a clock, by its number."""

    def spoil(_word, _candidate, clock_mhz):
        if error := errors.get(f"at_{clock_mhz:g}"):
            raise error

    candidate = {"filters": 4, "rate": 0.0, "skip": True, "dilations": [4, 8]}
    policy = make_plan(policy=BOTH).study.policy
    job = Job(0, Proposal(candidate, "int8"), "board", policy, CLOCKS_MHZ)
    return evaluate_trial(job, Noting(spoil).evaluators(), lambda event: None)


def test_a_clock_that_fails_leaves_the_others():
    trial = spoiled_trial(at_64=EmulationError("bus fault"), at_160=CapacityError("does not fit"))
    assert (trial.state, trial.price.clock_mhz) == ("complete", 16)
    assert [(o.state, o.reason) for o in trial.alternatives] == [
        ("failed", "EmulationError: bus fault"),
        ("infeasible", "CapacityError: does not fit"),
    ]
    assert front_of(make_plan(policy=BOTH).study.policy, trial.points) == (trial.key,)


def test_what_failed_at_a_clock_is_not_infeasible():
    fits_not = CapacityError("does not fit")
    trial = spoiled_trial(at_64=fits_not, at_16=EmulationError("bus fault"), at_160=fits_not)
    assert (trial.state, trial.reason) == ("failed", "EmulationError: bus fault")
    trial = spoiled_trial(at_64=fits_not, at_16=fits_not, at_160=fits_not)
    assert (trial.state, trial.violations) == ("infeasible", {"capacity": 1.0})


def test_a_member_that_fails_at_one_clock_is_trusted_at_none(run, tmp_path):
    twice = next(number for number, times in Counter(run[1].front).items() if times > 1)
    seen = []

    def spoil(word, record, clock_mhz):
        if word == "finish" and record.number == twice:
            seen.append(clock_mhz)
            if len(seen) == 2:
                raise EmulationError("golden outputs differ")

    finished = search(make_plan(policy=BOTH, clock_mhz=CLOCKS_MHZ), tmp_path, Noting(spoil))
    assert len(seen) == 2, "the second failed, and a third is not tried"
    assert [record.number for record in records_of(tmp_path, RejectedRecord)] == [twice]
    assert twice in [record.number for record in records_of(tmp_path, MemberRecord)]
    assert twice not in finished.front


def test_an_older_ledger_says_which_trials_are_on_the_front():
    old = FinishedRecord(trials=3, front=(2,), reason="", recorded_at="", host="")
    assert old.holds(PointKey(2, 64.0)) and not old.holds(PointKey(1, 64.0))
    several = old.model_copy(update={"front": (2, 2), "clocks_mhz": (64.0, 16.0)})
    assert several.holds(PointKey(2, 16.0)) and not several.holds(PointKey(2, 160.0))
