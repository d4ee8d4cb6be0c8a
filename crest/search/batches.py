"""Which trials come next: batches are a function of the recorded trials, so that a resumed run cuts the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crest.errors import CrestError, StudyError
from crest.ledger import TrialRecord
from crest.search.policy import excess, is_feasible
from crest.search.trial import CANDIDATE_ERRORS
from crest.study import SearchOptions

ASKED_PER_TRIAL: Final = 20
"""A search proposes at most this many candidates for every one it is to train."""

FAILURES_BEFORE_GIVING_UP: Final = 5
"""When the first this many trials all fail by the same cause, the cause is not the candidates."""

ANY_FAILURES_BEFORE_GIVING_UP: Final = 20
"""The same, whatever the causes."""


@dataclass(frozen=True)
class Batch:
    """Trials ``start`` up to ``start + size``, proposed from the history before ``start``."""

    start: int
    size: int


def asked_limit(options: SearchOptions) -> int:
    """The most candidates that a search proposes."""
    return ASKED_PER_TRIAL * options.trials


def next_batch(trials: Sequence[TrialRecord], options: SearchOptions) -> Batch | None:
    """The first batch that is not complete in the records, or None when the search has what it was asked for.

    A batch never holds more candidates than are still to be trained.
    """
    start = trained = 0
    while True:
        size = min(options.batch, options.trials - trained, asked_limit(options) - start)
        if size <= 0:
            return None
        if start + size > len(trials):
            return Batch(start, size)
        trained += sum(record.state == "complete" for record in trials[start : start + size])
        start += size


def stop_reason(trials: Sequence[TrialRecord], options: SearchOptions) -> str:
    """Why a search that has no next batch, or no next candidate, ends."""
    trained = sum(record.state == "complete" for record in trials)
    if trained >= options.trials:
        return f"trained {trained} candidates"
    if len(trials) >= asked_limit(options):
        why = f"the limit of {ASKED_PER_TRIAL} proposals for every candidate to train is reached"
    else:
        why = "the search space holds no other candidate"
    return f"trained {trained} of {options.trials} candidates: {why} ({_tally(trials)})"


def refuse_hopeless(trials: Sequence[TrialRecord]) -> None:
    """Give up when nothing but failures came: a few by one cause, or many by any.

    Raises:
        CrestError: of the kind that failed most of the trials.
    """
    first = trials[:FAILURES_BEFORE_GIVING_UP]
    one_cause = len(first) == FAILURES_BEFORE_GIVING_UP and len({_kind(record) for record in first}) == 1
    if one_cause and all(record.state == "failed" for record in first):
        raise _all_failed(first)
    first = trials[:ANY_FAILURES_BEFORE_GIVING_UP]
    if len(first) == ANY_FAILURES_BEFORE_GIVING_UP and all(record.state == "failed" for record in first):
        raise _all_failed(first)


def refuse_empty(trials: Sequence[TrialRecord], options: SearchOptions) -> None:
    """Refuse to finish a search in which no candidate was trained and met all constraints.

    Raises:
        StudyError: naming the candidate that came nearest.
        CrestError: all trials failed; of the kind that failed most of them.
    """
    if any(record.state == "complete" and is_feasible(record.violations) for record in trials):
        return
    if trials and all(record.state == "failed" for record in trials):
        raise _all_failed(trials)
    judged = [record for record in trials if record.violations]
    nearest = min(judged, key=lambda record: (record.price is None, excess(record.violations)), default=None)
    detail = f"; nearest was {_named(nearest)}: {nearest.reason}" if nearest else ""
    raise StudyError(
        f"no candidate meets the constraints: {stop_reason(trials, options)}{detail}",
        hint="relax policy.subject_to, narrow model.space towards smaller models, or take a larger target",
    )


def _all_failed(trials: Sequence[TrialRecord]) -> CrestError:
    """The error of a search whose trials all failed, told by the last failure of the most frequent kind."""
    kind = Counter(map(_kind, trials)).most_common(1)[0][0]
    told = [record for record in trials if _kind(record) == kind][-1]
    error = {cause.__name__: cause for cause in (*CANDIDATE_ERRORS, StudyError)}.get(kind, CrestError)
    return error(
        f"the first {len(trials)} candidates all failed; trial {told.number} by {told.reason}",
        hint="once the cause is mended, remove this run folder (it holds only failures) and start again",
    )


def _named(trial: TrialRecord) -> str:
    """A trial, and the clock of its outcome where there are others."""
    clock_mhz = trial.key.clock_mhz if trial.alternatives else None
    return f"trial {trial.number}" + ("" if clock_mhz is None else f" at {clock_mhz:g} MHz")


def _kind(record: TrialRecord) -> str:
    return (record.reason or "").partition(":")[0]


def _tally(trials: Sequence[TrialRecord]) -> str:
    states = [record.state for record in trials]
    return f"{len(states)} proposed, {states.count('infeasible')} infeasible, {states.count('failed')} failed"
