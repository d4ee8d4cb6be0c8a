"""The search: ask, evaluate, write down, until enough candidates are trained; then finish the front."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crest.errors import LedgerError, ModelError, StudyError
from crest.ledger import (
    LEDGER_NAME,
    FinishedRecord,
    HeaderRecord,
    Ledger,
    MemberRecord,
    RejectedRecord,
    TrialRecord,
)
from crest.models.axes import Axis
from crest.models.family import check_candidate
from crest.search import policy as scoring
from crest.search.batches import Batch, next_batch, refuse_empty, refuse_hopeless, stop_reason
from crest.search.choice import check_grid, choose_sampler, sampler_name
from crest.search.contracts import Finished, Finisher, MakeEvaluators, Proposal
from crest.search.encoding import Encoding
from crest.search.events import (
    FrontChanged,
    MemberFinished,
    MemberStarted,
    OnEvent,
    RunFinished,
    RunStarted,
    TrialFinished,
)
from crest.search.executor import Executor, make_executor
from crest.search.history import POPULATION
from crest.search.points import finished_record
from crest.search.sampler import Sampler
from crest.search.stamp import stamp
from crest.search.trial import CANDIDATE_ERRORS, Job, describe_error
from crest.search.warm_start import NOTHING_KNOWN, WarmStart, read_warm_start
from crest.study import Study


@dataclass(frozen=True)
class SearchPlan:
    """A study with what other rooms know about it.

    Attributes:
        study: the study.
        space: axes of its model family, already narrowed by the study.
        error_metrics: what the workload computes, by name.
        workload_fingerprint: hash of the data.
        versions: software that shapes the results, name to version.
    """

    study: Study
    space: Mapping[str, Axis]
    error_metrics: tuple[str, ...]
    workload_fingerprint: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        scoring.check_metrics(self.study.policy, self.error_metrics)
        check_grid(self.study.search, self.encoding.size)

    @property
    def encoding(self) -> Encoding:
        """The space as samplers see it."""
        return Encoding(self.space, self.study.quantization)

    def sampler(self, header: HeaderRecord | None = None, warm: WarmStart = NOTHING_KNOWN) -> Sampler:
        """What proposes the candidates of a run, by its recorded header: a choice of ``auto`` stands."""
        header = header or self.header()
        options = self.study.search
        return Sampler(
            name=sampler_name(options, header.sampler),
            seed=options.seed,
            startup_trials=options.startup_trials,
            encoding=self.encoding,
            policy=self.study.policy,
            population=options.population or POPULATION,
            warm=warm,
        )

    def header(self, warm: WarmStart = NOTHING_KNOWN) -> HeaderRecord:
        """The first record of a run of this plan."""
        return HeaderRecord(
            run=self.study.name,
            study=self.study.model_dump(mode="json"),
            study_sha256=self.study.canonical_sha256(),
            study_folder=str(self.study.folder),
            workload_fingerprint=self.workload_fingerprint,
            versions=dict(self.versions),
            sampler=choose_sampler(self.study.search, self.study.policy, self.encoding.size),
            warm_start=warm.runs,
            **stamp(),
        )


def run_search(
    plan: SearchPlan, run_folder: Path, make_evaluators: MakeEvaluators, finisher: Finisher, on_event: OnEvent
) -> FinishedRecord:
    """Run a search to its end, or resume one where its ledger stops; a finished run is not repeated.

    Args:
        plan: what to search.
        run_folder: holds ``ledger.jsonl``; created when absent.
        make_evaluators: builds pricer and trainer, once for every worker process.
        finisher: verifies the members of the front, in this process.
        on_event: told what happens, always in this process.

    Returns:
        The last record: the front, and why the search ended.

    Raises:
        LedgerError: the run folder belongs to another study, is damaged or in use, or the disk is full.
        StudyError: no candidate meets the constraints, or a run to start from cannot be used.
        CrestError: the first candidates all failed by the same cause (of that cause's class), or an error that is
            no candidate's fault.
    """
    warm = read_warm_start(plan.study, plan.space, plan.header())
    with Ledger(run_folder / LEDGER_NAME) as ledger:
        header = ledger.begin(plan.header(warm))
        run = _Run(plan, ledger, plan.sampler(header, warm), on_event)
        changed = _changed_versions(header.versions, plan.versions)
        on_event(RunStarted(plan.study.name, len(run.trials), changed, header.sampler, header.warm_start))
        finished = [record for record in ledger.records if isinstance(record, FinishedRecord)]
        if not finished:
            with make_executor(plan.study.search.workers, make_evaluators) as executor:
                run.search(executor)
            refuse_empty(run.trials, plan.study.search)
            finished = [run.finish(finisher)]
        on_event(RunFinished(finished[0]))
        return finished[0]


class _Run:
    """One session of a run; whatever it knows, the ledger knows."""

    def __init__(self, plan: SearchPlan, ledger: Ledger, sampler: Sampler, on_event: OnEvent) -> None:
        self._plan = plan
        self._ledger = ledger
        self._sampler = sampler
        self._on_event = on_event
        self.trials = [record for record in ledger.records if isinstance(record, TrialRecord)]
        self._check_recorded()
        self._points = [point for trial in self.trials for point in trial.points]
        self._front = scoring.front_of(self._plan.study.policy, self._points)

    def search(self, executor: Executor) -> None:
        """Evaluate batches until the search has what it was asked for."""
        while True:
            refuse_hopeless(self.trials)
            batch = next_batch(self.trials, self._plan.study.search)
            jobs = self._jobs(batch) if batch else []
            if not jobs:
                return
            for record in executor.evaluate(jobs, self._on_event):
                self._note(record)

    def finish(self, finisher: Finisher) -> FinishedRecord:
        """Verify the front; a member that gets worse or is rejected may let others in, which are verified too.

        A network is verified at all clocks that are feasible: by tomorrow's models another one may be the best.
        """
        verified = {record.key: record for record in self._ledger.records if isinstance(record, MemberRecord)}
        rejected = {record.number for record in self._ledger.records if isinstance(record, RejectedRecord)}
        policy = self._plan.study.policy
        while True:
            candidates = [point for point in self._points if point.number not in rejected]
            front = scoring.front_of(policy, [verified.get(point.key, point) for point in candidates])
            networks = {point.number for point in front}
            eligible = [point for point in candidates if point.number in networks and scoring.is_eligible(point)]
            waiting = [point for point in eligible if point.key not in verified]
            if not waiting:
                break
            record = self._finish_one(waiting[0], finisher)
            if isinstance(record, MemberRecord):
                verified[record.key] = record
            else:
                rejected.add(record.number)
        if not front:
            raise StudyError(
                f"none of the {len(rejected) + len(verified)} best candidates holds with its trained weights",
                hint="the ledger says why for each; train more candidates, or relax policy.subject_to",
            )
        reason = stop_reason(self.trials, self._plan.study.search)
        return self._ledger.append(finished_record(self._plan.study, len(self.trials), front, reason))

    def _jobs(self, batch: Batch) -> list[Job]:
        """The trials of a batch that are not recorded yet; fewer when the space holds no more candidates."""
        history = self.trials[: batch.start]
        proposals = [Proposal(done.candidate, done.quantization) for done in self.trials[batch.start :]]
        jobs: list[Job] = []
        for number in range(len(self.trials), batch.start + batch.size):
            proposal = self._sampler.ask(number, history, proposals)
            if proposal is None:
                break
            proposals.append(proposal)
            study = self._plan.study
            (target,) = study.targets
            jobs.append(Job(number, proposal, target, study.policy, study.clocks_mhz))
        return jobs

    def _note(self, record: TrialRecord) -> None:
        stored = self._ledger.append(record)
        self.trials.append(stored)
        self._points += stored.points
        self._on_event(TrialFinished(stored))
        front = scoring.front_of(self._plan.study.policy, self._points)
        if front != self._front:
            self._front = front
            self._on_event(FrontChanged(front))

    def _finish_one(self, trial: TrialRecord, finisher: Finisher) -> MemberRecord | RejectedRecord:
        self._on_event(MemberStarted(trial.number))
        stored: MemberRecord | RejectedRecord
        try:
            member = _member(self._plan, trial, finisher.finish(trial))
        except CANDIDATE_ERRORS as exc:
            stored = self._ledger.append(RejectedRecord(number=trial.number, reason=describe_error(exc), **stamp()))
        else:
            stored = self._ledger.append(member)
        self._on_event(MemberFinished(stored))
        return stored

    def _check_recorded(self) -> None:
        """The recorded trials are those of this plan: numbered without a gap, inside of the space."""
        for number, trial in enumerate(self.trials):
            place = f"{self._ledger.path}: trial {trial.number}"
            if trial.number != number:
                raise LedgerError(f"{place} stands where trial {number} belongs", hint="choose another run folder")
            try:
                check_candidate(self._plan.space, trial.candidate)
            except ModelError as exc:
                raise LedgerError(
                    f"{place}: {exc}",
                    hint="the model family changed since; resume with the version that began this run",
                ) from exc


def _member(plan: SearchPlan, trial: TrialRecord, finished: Finished) -> MemberRecord:
    """Score a finished member by its final numbers; the proxies are those of the trial, weights do not change them."""
    policy = plan.study.policy
    metrics = {**finished.metrics, **trial.proxies, **finished.measurement.metrics()}
    if not all(map(math.isfinite, finished.test_metrics.values())):
        raise ModelError(f"trial {trial.number}: its metrics on the test split are not finite")
    absent = scoring.absent_reason([*finished.metrics, "cycles"], metrics, finished.measurement)
    if absent is not None:
        raise ModelError(f"trial {trial.number}: {absent}")
    return MemberRecord(
        number=trial.number,
        measurement=finished.measurement,
        metrics=dict(finished.metrics),
        test_metrics=dict(finished.test_metrics),
        **scoring.scores(policy, metrics, finished.measurement),
        price_difference_pct=scoring.price_difference_pct(trial, finished.measurement),
        profile_key=finished.profile_key,
        files=dict(finished.files),
        **stamp(),
    )


def _changed_versions(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*then, *now})
    absent = "absent"
    return {name: (then.get(name, absent), now.get(name, absent)) for name in names if then.get(name) != now.get(name)}
