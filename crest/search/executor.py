"""Evaluates a batch of trials, in this process or in several; records come back in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Protocol

from crest.errors import CrestError, TrainingError
from crest.ledger import TrialRecord
from crest.search.contracts import Evaluators, MakeEvaluators
from crest.search.events import OnEvent
from crest.search.trial import Job, evaluate_trial

_POLL_SECONDS: Final = 0.1


class Executor(Protocol):
    """Evaluates trials; a context manager."""

    def evaluate(self, jobs: Sequence[Job], on_event: OnEvent) -> Iterator[TrialRecord]:
        """The record of each job, in the order of the jobs, as soon as it and those before it are there."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_executor(workers: int, make_evaluators: MakeEvaluators) -> Executor:
    """One process needs no pool."""
    return SerialExecutor(make_evaluators) if workers == 1 else PoolExecutor(workers, make_evaluators)


class SerialExecutor:
    """Evaluates trials one after the other, in this process; the evaluators are built when first needed."""

    def __init__(self, make_evaluators: MakeEvaluators) -> None:
        self._make_evaluators = make_evaluators
        self._evaluators: Evaluators | None = None

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._evaluators = None

    def evaluate(self, jobs: Sequence[Job], on_event: OnEvent) -> Iterator[TrialRecord]:
        """See :class:`Executor`."""
        if self._evaluators is None:
            self._evaluators = self._make_evaluators()
        for job in jobs:
            yield evaluate_trial(job, self._evaluators, on_event)


class PoolExecutor:
    """Evaluates trials in worker processes, each with evaluators of its own.

    Workers end with this object and with this process, however it ends: they watch a pipe that only this process
    holds open.
    """

    def __init__(self, workers: int, make_evaluators: MakeEvaluators) -> None:
        context = multiprocessing.get_context("spawn")
        self._events: multiprocessing.SimpleQueue[Any] = context.SimpleQueue()
        alive, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin_worker, initargs=(make_evaluators, self._events, alive)
        )
        self._workers_end = alive

    def __enter__(self) -> PoolExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._pool.shutdown()
        self._alive.close()
        self._pool.shutdown(cancel_futures=True)
        self._workers_end.close()

    def evaluate(self, jobs: Sequence[Job], on_event: OnEvent) -> Iterator[TrialRecord]:
        """See :class:`Executor`.

        Raises:
            TrainingError: a worker process died.
        """
        futures = [self._pool.submit(_evaluate_in_worker, job) for job in jobs]
        for future in futures:
            self._relay_until_done(future, on_event)
            try:
                yield future.result()
            except BrokenProcessPool as exc:
                numbers = ", ".join(str(job.number) for job in jobs)
                raise TrainingError(
                    f"a worker process died while trials {numbers} were evaluated",
                    hint="out of memory? run again with search.workers: 1; nothing recorded is lost",
                ) from exc

    def _relay_until_done(self, future: Future[TrialRecord], on_event: OnEvent) -> None:
        """Pass on the events of the workers until a result is there."""
        while True:
            done = wait([future], timeout=_POLL_SECONDS).done
            while not self._events.empty():
                on_event(self._events.get())
            if done:
                return


class _Worker:
    """What a worker process holds between two jobs: evaluators, or why there are none."""

    evaluators: Evaluators | CrestError
    on_event: OnEvent


def _begin_worker(make_evaluators: MakeEvaluators, events: multiprocessing.SimpleQueue[Any], alive: Connection) -> None:
    # Ctrl-C is for the process that started the search; it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    _Worker.on_event = events.put
    try:
        _Worker.evaluators = make_evaluators()
    except CrestError as exc:
        # Raised here it would break the pool, which then says nothing of the cause.
        _Worker.evaluators = exc


def _end_with_parent(alive: Connection) -> None:
    """Nothing is ever sent: the pipe becomes readable when the process that started the search closes it or dies."""
    alive.poll(None)
    os._exit(1)


def _evaluate_in_worker(job: Job) -> TrialRecord:
    if isinstance(_Worker.evaluators, CrestError):
        raise _Worker.evaluators
    return evaluate_trial(job, _Worker.evaluators, _Worker.on_event)
