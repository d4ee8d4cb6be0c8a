"""The recorded run that a replay starts from: its networks as files, and what the run knows of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crest.errors import LedgerError, ModelError
from crest.ledger import LEDGER_NAME, read_run
from crest.measurement import Measurement
from crest.report.view import Entry, RunView, view_run
from crest.study import Study, parse_study


@dataclass(frozen=True)
class Network:
    """A trained network of a run: its point on the front where it has one, else the one that its policy prefers."""

    entry: Entry
    tflite: bytes

    @property
    def number(self) -> int:
        """Number of its trial."""
        return self.entry.number

    @property
    def name(self) -> str:
        """How firmware built from it is called, in the run and in a replay."""
        return f"trial-{self.number:04d}"

    @property
    def model_sha256(self) -> str:
        """Hash of the model file."""
        return hashlib.sha256(self.tflite).hexdigest()

    @property
    def measurement(self) -> Measurement:
        """What it cost in the run: the final price of a member, else the price that the search saw."""
        assert self.entry.measurement is not None, "a trained network has a price"
        return self.entry.measurement

    @property
    def recorded(self) -> Mapping[str, float]:
        """Metrics that no board changes: errors, and the proxies of its graph."""
        trial, member = self.entry.trial, self.entry.member
        return {**trial.proxies, **trial.metrics, **(member.metrics if member else {})}


@dataclass(frozen=True)
class Source:
    """A recorded run; ``left_out`` are the trained trials whose model file is not there, by number."""

    folder: Path
    run: str
    study: Study
    sha256: str
    networks: tuple[Network, ...]
    left_out: tuple[int, ...]

    @property
    def error_metrics(self) -> tuple[str, ...]:
        """What the run recorded of its trained networks."""
        entries = [network.entry for network in self.networks]
        return tuple(dict.fromkeys(name for entry in entries for name in entry.trial.metrics))


def read_source(folder: Path, *, all_trials: bool = False) -> Source:
    """Read the networks of a recorded run.

    Args:
        folder: the run folder.
        all_trials: every trained network, not the front alone; what has no model file is left out.

    Raises:
        LedgerError: no ledger, a damaged one, one without a network to replay, or the front of a run that is not
            finished.
        ModelError: the model file of a front member is gone.
    """
    header, records = read_run(folder)
    view = view_run(records)
    if view.finished is None and not all_trials:
        raise LedgerError(
            f"{folder}: this run is not finished",
            hint=f"crest resume {folder}; or --all-trials, which replays what it has trained",
        )
    networks, left_out = _networks(folder, view, all_trials)
    if not networks:
        raise LedgerError(
            f"{folder}: " + ("no trained network has a model file" if all_trials else "the front of this run is empty"),
            hint="search again" if all_trials else "--all-trials replays every trained network",
        )
    return Source(
        folder=folder,
        run=header.run,
        study=parse_study(header.study, source=str(folder), folder=Path(header.study_folder)),
        sha256=hashlib.sha256((folder / LEDGER_NAME).read_bytes()).hexdigest(),
        networks=networks,
        left_out=left_out,
    )


def _networks(folder: Path, view: RunView, all_trials: bool) -> tuple[tuple[Network, ...], tuple[int, ...]]:
    networks, left_out = [], []
    for entry in _one_a_trial(view, all_trials):
        tflite = _model_file(folder, entry)
        if tflite is not None:
            networks.append(Network(entry, tflite))
        elif all_trials:
            left_out.append(entry.number)
        else:
            raise ModelError(
                f"{folder}: the model file of trial {entry.number} is gone",
                hint="restore it from a copy, or search again",
            )
    return tuple(networks), tuple(left_out)


def _one_a_trial(view: RunView, all_trials: bool) -> Iterator[Entry]:
    """The front in its order, then what else was trained."""
    seen = set()
    trained = [entry for entry in view.entries if entry.trial.state == "complete"] if all_trials else []
    for entry in (*view.front, *trained):
        if entry.number not in seen:
            seen.add(entry.number)
            yield entry


def _model_file(folder: Path, entry: Entry) -> bytes | None:
    named = [entry.member.files.get("tflite") if entry.member else None, entry.trial.model]
    for path in filter(None, named):
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise ModelError(f"{folder / path}: cannot be read: {exc.strerror}") from exc
    return None
