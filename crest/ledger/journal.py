"""The ledger of a run: append-only, one checksummed line per record, on disk before it is acknowledged."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar, cast

from crest.errors import LedgerError
from crest.ledger.lines import LineDamagedError, LineUnknownError, decode, encode
from crest.ledger.records import LEDGER_SCHEMA, EarlierRun, HeaderRecord, Record

LEDGER_NAME: Final = "ledger.jsonl"
"""How a run folder calls its ledger."""

_Kind = TypeVar("_Kind", bound=Record)


def read_ledger(path: Path) -> list[Record]:
    """Read a ledger without locking or changing it; a line that is still being written is left out.

    Raises:
        LedgerError: no such file, or a damaged line.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise LedgerError(f"{path}: cannot be read: {exc.strerror}", hint="give the ledger of a run folder") from exc
    return _parse(data, path)[0]


def read_run(folder: Path) -> tuple[HeaderRecord, list[Record]]:
    """Header and all records of a run folder.

    Raises:
        LedgerError: there is no ledger, it is damaged, or it ends before its header does.
    """
    path = folder / LEDGER_NAME
    records = read_ledger(path)
    if not records:
        raise LedgerError(f"{path}: has no header", hint="this run was stopped before it began: search again")
    if not isinstance(records[0], HeaderRecord):
        raise LedgerError(f"{path}: line 1 is not the header of a run", hint="give the folder of a search")
    return records[0], records


class Ledger:
    """A ledger opened for writing; one writer at a time, in this process or any other.

    ``append`` returns when the record is on disk. A torn last line (power loss, full disk) is cut off on opening;
    damage anywhere else is an error, never repaired by guessing.

    Raises:
        LedgerError: another process writes this ledger, the file cannot be opened, or a line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open_locked()
        try:
            self._records, self._size = self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def records(self) -> tuple[Record, ...]:
        """All records on disk, oldest first."""
        return tuple(self._records)

    def close(self) -> None:
        """Release the lock; harmless when called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def begin(self, header: HeaderRecord) -> HeaderRecord:
        """Write the header of a new run, or check that this ledger is of the same study and data.

        Returns:
            The header on disk: of an earlier session when the run is resumed.

        Raises:
            LedgerError: the ledger belongs to another study, other data or another schema, or a run that it was
                warm-started from changed since.
        """
        if not self._records:
            self.append(header)
            return header
        recorded = self._records[0]
        if not isinstance(recorded, HeaderRecord):
            raise LedgerError(f"{self.path}: line 1 is not a header", hint="this is not the ledger of a run")
        if recorded.schema_version != LEDGER_SCHEMA:
            raise LedgerError(
                f"{self.path}: written with ledger schema {recorded.schema_version}, this version has {LEDGER_SCHEMA}",
                hint="resume it with the version that wrote it, or choose another run folder",
            )
        if recorded.study_sha256 != header.study_sha256:
            changed = _changed_keys(recorded.study, header.study)
            raise LedgerError(
                f"{self.path}: this run belongs to another study"
                + (f" (changed: {', '.join(changed)})" if changed else ""),
                hint="undo the change to resume, or give the study another name or run folder",
            )
        if recorded.workload_fingerprint != header.workload_fingerprint:
            raise LedgerError(
                f"{self.path}: the data of the workload changed since this run began",
                hint="put the data back, or choose another run folder",
            )
        _refuse_changed(self.path, recorded.warm_start, header.warm_start)
        return recorded

    def append(self, record: _Kind) -> _Kind:
        """Write one record; on return it is on disk.

        Returns:
            The record as a reader of the file gets it, so that a resumed run continues from the same data.

        Raises:
            LedgerError: it cannot be written (disk full, closed ledger, a number JSON does not know); what was
                there before is still there.
        """
        if self._file < 0:
            raise LedgerError(f"{self.path}: the ledger is closed")
        try:
            line = encode(record)
        except ValueError as exc:
            raise LedgerError(f"{self.path}: a {record.kind} record cannot be written: {exc}") from exc
        try:
            self._write(line)
        except OSError as exc:
            # Best effort: what is left of the line is a torn tail, which the next opening cuts off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            self.close()
            raise LedgerError(
                f"{self.path}: a record cannot be written: {exc.strerror}",
                hint="free some space and run the same command again; nothing recorded before is lost",
            ) from exc
        self._size += len(line)
        stored = decode(line)
        self._records.append(stored)
        return cast(_Kind, stored)

    def _write(self, line: bytes) -> None:
        written = 0
        while written < len(line):
            written += os.write(self._file, line[written:])
        os.fsync(self._file)

    def _open_locked(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise LedgerError(f"{self.path}: cannot be opened for writing: {exc.strerror}") from exc
        try:
            # The kernel drops the lock with the process: a killed run leaves nothing behind that blocks the next.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(file)
            raise LedgerError(
                f"{self.path}: another process is writing this ledger", hint="wait for it to end, or stop it"
            ) from exc
        return file

    def _load(self) -> tuple[list[Record], int]:
        try:
            data = self.path.read_bytes()
            records, whole_bytes = _parse(data, self.path)
            if whole_bytes < len(data):
                os.ftruncate(self._file, whole_bytes)
            os.fsync(self._file)
            _sync_folder(self.path.parent)
        except OSError as exc:
            raise LedgerError(f"{self.path}: cannot be read or repaired: {exc.strerror}") from exc
        return records, whole_bytes


def _parse(data: bytes, path: Path) -> tuple[list[Record], int]:
    """The records of a ledger's bytes, and how many of the bytes are whole lines."""
    *lines, tail = data.split(b"\n")
    records: list[Record] = []
    try:
        for line in lines:
            records.append(decode(line + b"\n"))
        _refuse_damaged_newline(tail)
    except LineDamagedError as exc:
        raise LedgerError(
            f"{path}: line {len(records) + 1} is damaged: {exc}",
            hint="restore the file from a copy, or choose another run folder; nothing is repaired by guessing",
        ) from exc
    except LineUnknownError as exc:
        raise LedgerError(
            f"{path}: line {len(records) + 1}: {exc}", hint="read this run with the version that wrote it"
        ) from exc
    return records, len(data) - len(tail)


def _refuse_damaged_newline(tail: bytes) -> None:
    """A whole record with something else where its newline belongs is damage; an interrupted write cannot leave it."""
    try:
        decode(tail[:-1] + b"\n")
    except LineDamagedError:
        return
    raise LineDamagedError("something else stands where its newline belongs")


def _refuse_changed(path: Path, recorded: Sequence[EarlierRun], now: Sequence[EarlierRun]) -> None:
    """The runs of a warm start are still what they were: the sampler must be told the same again."""
    for then, earlier in zip(recorded, now, strict=True):
        if then.ledger_sha256 != earlier.ledger_sha256:
            raise LedgerError(
                f"{path}: search.warm_start: the ledger of {earlier.run} changed since this run began",
                hint="put it back to resume, or choose another run folder",
            )


def _sync_folder(folder: Path) -> None:
    """Put the folder's entry of a new file on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _changed_keys(before: object, after: object, prefix: str = "") -> list[str]:
    """Dotted keys that differ between two nested mappings."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [prefix]
    changed: list[str] = []
    for key in sorted({*before, *after}):
        changed += _changed_keys(before.get(key), after.get(key), f"{prefix}.{key}" if prefix else str(key))
    return changed
