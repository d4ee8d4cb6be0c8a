"""Warm start: what earlier runs trained and refused is told to the sampler, scored by the policy of this study."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from crest.errors import LedgerError, ModelError, StudyError
from crest.ledger import LEDGER_NAME, EarlierRun, HeaderRecord, TrialRecord, read_run
from crest.models.axes import Axis
from crest.models.family import check_candidate
from crest.search import policy as scoring
from crest.search.contracts import Proposal
from crest.search.derived import derive, recorded_metrics
from crest.search.encoding import proposal_key
from crest.search.points import as_one
from crest.study import Policy, Study, parse_study

# Where two runs differ in one of these their costs or errors do not compare. Quantization and space may differ.
_SAME: Final = ("workload", "targets", "backend", "toolchain", "runtime", "lowering", "schedule", "reserve")
_SAME_VERSIONS: Final = ("timing_model", "energy_model")

_FAILED: Final = "failed"
_OUTSIDE: Final = "outside of this space"
_UNKNOWN: Final = "without a metric of this policy"
_UNTRAINED: Final = "refused then, not refused by this policy"
_TWICE: Final = "told already"
# Of several clocks the last of these counts.
_REASONS: Final = (_FAILED, _UNKNOWN, _UNTRAINED)


@dataclass(frozen=True)
class WarmStart:
    """What a sampler knows before the first trial of a run.

    Attributes:
        told: trials of earlier runs, scored by the policy of this one.
        avoided: keys of the proposals among them that are not to be made again.
        runs: where they come from.
    """

    told: tuple[TrialRecord, ...] = ()
    avoided: frozenset[str] = frozenset()
    runs: tuple[EarlierRun, ...] = ()


NOTHING_KNOWN: Final = WarmStart()


@dataclass
class _Reader:
    """Collects the trials of one run after the other."""

    study: Study
    space: Mapping[str, Axis]
    told: dict[str, TrialRecord] = field(default_factory=dict)
    avoided: set[str] = field(default_factory=set)

    def read(self, name: str, trials: Iterable[TrialRecord], ledger_sha256: str) -> EarlierRun:
        """Take in the trials of a run; what it was is written into the header."""
        left_out: Counter[str] = Counter()
        told = 0
        for trial in trials:
            found = self._judged(trial)
            if isinstance(found, str):
                left_out[found] += 1
                continue
            key = proposal_key(Proposal(trial.candidate, trial.quantization))
            self.told[key] = found
            told += 1
            if not self.study.search.warm_start[name].repeat:
                self.avoided.add(key)
        return EarlierRun(run=name, ledger_sha256=ledger_sha256, told=told, left_out=dict(left_out))

    def _judged(self, trial: TrialRecord) -> TrialRecord | str:
        """A trial by the policy of this study, or why it cannot be told."""
        try:
            check_candidate(self.space, trial.candidate)
        except ModelError:
            return _OUTSIDE
        if trial.quantization not in self.study.quantization:
            return _OUTSIDE
        if proposal_key(Proposal(trial.candidate, trial.quantization)) in self.told:
            return _TWICE
        found = [_rescored(point, self.study.policy) for point in trial.points]
        points = [point for point in found if isinstance(point, TrialRecord)]
        trained = any(point.state == "complete" for point in points)
        reasons = [reason for reason in found if isinstance(reason, str)]
        if not points or (_UNTRAINED in reasons and not trained):
            return max(reasons, key=_REASONS.index)
        return as_one(points, self.study.policy)


def read_warm_start(study: Study, space: Mapping[str, Axis], header: HeaderRecord) -> WarmStart:
    """The trials of the earlier runs that a study names, in the alphabetical order of their folders.

    Of a candidate that several runs hold, the first one's trial is told. Nothing is told of a trial that failed.

    Args:
        study: names the runs.
        space: its search space.
        header: data and software of this run.

    Raises:
        StudyError: a run cannot be read, or its costs or errors do not compare with those of this study.
    """
    reader = _Reader(study, space)
    runs = []
    for name in sorted(study.search.warm_start):
        folder = study.resolve(name)
        try:
            earlier, records = read_run(folder)
            lines = (folder / LEDGER_NAME).read_bytes().splitlines(keepends=True)
            differ = _differences(study, header, earlier)
        except (LedgerError, StudyError, OSError) as exc:
            raise StudyError(
                f"search.warm_start: {name}: {exc}", hint="name folders of runs; they start from that of the study file"
            ) from exc
        if differ:
            raise StudyError(
                f"search.warm_start: {name}: its costs or errors do not compare with this study's, "
                f"for these differ: {', '.join(differ)}",
                hint="leave this run out, or where only a model differs, name a copy by crest reprice; "
                "space, quantization, policy and search may differ",
            )
        # The run may be growing: what was read is what counts.
        ledger_sha256 = hashlib.sha256(b"".join(lines[: len(records)])).hexdigest()
        trials = [record for record in records if isinstance(record, TrialRecord)]
        runs.append(reader.read(name, trials, ledger_sha256))
    return WarmStart(tuple(reader.told.values()), frozenset(reader.avoided), tuple(runs))


def _differences(study: Study, header: HeaderRecord, earlier: HeaderRecord) -> list[str]:
    """What keeps the numbers of an earlier run from being compared with those of this one."""
    then = parse_study(earlier.study, source="its study")
    differ = [key for key in _SAME if getattr(then, key) != getattr(study, key)]
    if then.model.family != study.model.family:
        differ.append("model.family")
    if earlier.workload_fingerprint != header.workload_fingerprint:
        differ.append("the data")
    return differ + [key for key in _SAME_VERSIONS if earlier.versions.get(key) != header.versions.get(key)]


def _rescored(point: TrialRecord, policy: Policy) -> TrialRecord | str:
    """A trial at one clock by a policy, or why that cannot judge it."""
    if point.state == "failed":
        return _FAILED
    if point.price is None:
        return point
    recorded = {**point.metrics, **point.proxies, **point.price.metrics()}
    derived = derive(policy, recorded)
    constraints = policy.subject_to if point.state == "complete" else scoring.cost_constraints(policy)
    needed = policy.judged if point.state == "complete" else [item.metric for item in constraints]
    if scoring.absent_reason(recorded_metrics(policy, needed), recorded, point.price) or derived.reason(needed):
        return _UNKNOWN
    if point.state == "complete":
        return point.model_copy(update=scoring.scores(policy, recorded, point.price))
    violations = scoring.violations(constraints, {**recorded, **derived.values}, point.price)
    if scoring.is_feasible(violations):
        return _UNTRAINED
    return point.model_copy(update={"violations": violations, "derived": derived.values})
