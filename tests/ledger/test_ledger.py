import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import zlib

import pytest

from crest.errors import LedgerError
from crest.ledger import FinishedRecord, HeaderRecord, Ledger, TrialRecord, content, journal, read_ledger

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
WHEN = {"recorded_at": "2026-01-01T00:00:00+00:00", "host": "here"}


def header(**changes):
    fields = {
        "run": "walk",
        "study": {"name": "walk", "search": {"seed": 1}},
        "study_sha256": "a" * 64,
        "study_folder": "studies",
        "workload_fingerprint": "data",
        "versions": {"crest": "0.1.0"},
        **WHEN,
    }
    return HeaderRecord(**{**fields, **changes})


def trial(number, **changes):
    fields = {
        "number": number,
        "state": "complete",
        "candidate": {"filters": number, "dilations": [1, 2], "skip": True, "größe": "ü\n"},
        "quantization": "int8",
        "target": "board",
        "objectives": {"rmse_total": 0.1 + number / 3, "energy": 1e-300},
        "price_seconds": 1.5,
        **WHEN,
    }
    return TrialRecord(**{**fields, **changes})


def filled(path, trials=3):
    with Ledger(path) as ledger:
        ledger.begin(header())
        for number in range(trials):
            ledger.append(trial(number))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.jsonl"


def test_records_come_back_as_they_were_written(path):
    records = [header(), trial(0), trial(1, state="infeasible", reason="too slow", violations={"a <= 1": 0.5})]
    records.append(FinishedRecord(trials=2, front=(0,), reason="done", **WHEN))
    with Ledger(path) as ledger:
        for record in records:
            assert ledger.append(record) == record
        assert list(ledger.records) == records
        assert read_ledger(path) == records
    assert [json.loads(line)["record"]["kind"] for line in path.read_text().splitlines()] == [r.kind for r in records]


def test_a_record_is_on_disk_when_append_returns(path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(journal.os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), fsync(file)))
    with Ledger(path) as ledger:
        ledger.begin(header())
        ledger.append(trial(0))
        assert synced[-1] == path.stat().st_size


def test_a_torn_last_line_is_cut_off_wherever_it_tears(path):
    filled(path)
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert len(read_ledger(path)) == 3
        assert path.read_bytes() == whole[:end], "reading must not repair"
        with Ledger(path) as ledger:
            assert len(ledger.records) == 3
            assert path.stat().st_size == last
            ledger.append(trial(2))
        assert path.read_bytes() == whole


def test_zeros_behind_the_last_line_are_cut_off(path):
    whole = filled(path).read_bytes()
    path.write_bytes(whole + b"\0" * 4096)
    with Ledger(path) as ledger:
        assert len(ledger.records) == 4
    assert path.read_bytes() == whole


def test_no_flipped_byte_goes_unnoticed(path):
    whole = filled(path).read_bytes()
    chance = random.Random(1)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        line = whole[:place].count(b"\n") + 1
        with pytest.raises(LedgerError, match=rf"ledger\.jsonl: line {line} is damaged"):
            read_ledger(path)
        with pytest.raises(LedgerError, match="damaged"):
            Ledger(path)
        assert path.read_bytes() == bytes(flipped), "damage must not be repaired by guessing"


@pytest.mark.parametrize("change", ["drop", "swap", "double"])
def test_whole_lines_stay_readable_when_moved(path, change):
    """The checksum guards bytes; the order of trials is the search's to check."""
    first, *rest = filled(path).read_bytes().splitlines(keepends=True)
    lines = {"drop": rest[1:], "swap": rest[::-1], "double": rest + rest}[change]
    path.write_bytes(first + b"".join(lines))
    assert len(read_ledger(path)) == 1 + len(lines)


def test_an_intact_line_of_another_version_is_told_apart_from_damage(path):
    filled(path, trials=0)
    payload = b'{"kind":"dream","number":1}'
    with path.open("ab") as file:
        file.write(b'{"crc32":"%08x","record":' % zlib.crc32(payload) + payload + b"}\n")
    with pytest.raises(LedgerError, match="line 2: not a record this version knows") as caught:
        read_ledger(path)
    assert "version" in caught.value.hint


def test_a_second_writer_is_refused_and_a_reader_is_not(path):
    with Ledger(path) as first:
        first.begin(header())
        with pytest.raises(LedgerError, match="another process is writing"):
            Ledger(path)
        assert len(read_ledger(path)) == 1
        first.append(trial(0))
    with Ledger(path) as second:
        assert len(second.records) == 2


def test_a_killed_writer_leaves_no_lock(path):
    program = f"""
        import sys, time
        from pathlib import Path
        from crest.ledger import Ledger
        ledger = Ledger(Path({str(path)!r}))
        print("open", flush=True)
        time.sleep(60)
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, env=ENV)
    try:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(LedgerError, match="another process is writing"):
            Ledger(path)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    with Ledger(path) as ledger:
        ledger.begin(header())


def test_a_full_disk_loses_nothing_that_was_acknowledged(path, monkeypatch):
    """The device takes part of a line, then no more."""
    write = os.write
    room = [1500]

    def scarce(file, data):
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(len(data), room[0], 100)
        room[0] -= taken
        return write(file, data[:taken])

    monkeypatch.setattr(journal.os, "write", scarce)
    acknowledged = []
    with Ledger(path) as ledger:
        acknowledged.append(ledger.begin(header()))
        with pytest.raises(LedgerError, match="No space left") as caught:
            for number in range(100):
                acknowledged.append(ledger.append(trial(number)))
        assert "nothing recorded before is lost" in caught.value.hint
        with pytest.raises(LedgerError, match="closed"):
            ledger.append(trial(99))
    assert len(acknowledged) > 2
    assert read_ledger(path) == acknowledged
    monkeypatch.undo()
    with Ledger(path) as ledger:
        ledger.append(trial(len(acknowledged) - 1))
    assert len(read_ledger(path)) == len(acknowledged) + 1


def test_a_full_disk_that_cannot_even_be_truncated_leaves_a_tail_that_is_repaired(path, monkeypatch):
    filled(path)
    ledger = Ledger(path)
    write = os.write

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(journal.os, "write", lambda file, data: write(file, data[:40]) and fail())
    monkeypatch.setattr(journal.os, "ftruncate", fail)
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.append(trial(3))
    monkeypatch.undo()
    assert not path.read_bytes().endswith(b"\n")
    assert len(read_ledger(path)) == 4
    with Ledger(path) as reopened:
        assert len(reopened.records) == 4


def test_the_kernel_refusing_to_grow_the_file_is_a_ledger_error(path):
    """RLIMIT_FSIZE makes the kernel itself cut a write short."""
    filled(path, trials=1)
    program = f"""
        import resource, signal
        from pathlib import Path
        from crest.errors import LedgerError
        from crest.ledger import Ledger, TrialRecord
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ledger = Ledger(Path({str(path)!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, ({path.stat().st_size + 100},) * 2)
        record = ledger.records[1].model_copy(update={{"number": 1}})
        try:
            ledger.append(record)
        except LedgerError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENV)
    assert "cannot be written: File too large" in done.stdout
    assert len(read_ledger(path)) == 2


def test_numbers_that_json_does_not_know_are_refused_before_anything_is_written(path):
    with Ledger(path) as ledger:
        ledger.begin(header())
        size = path.stat().st_size
        with pytest.raises(LedgerError, match="a trial record cannot be written"):
            ledger.append(trial(0, objectives={"rmse": float("nan")}))
        assert path.stat().st_size == size
        ledger.append(trial(0))


def test_a_resumed_run_keeps_its_first_header(path):
    filled(path)
    with Ledger(path) as ledger:
        later = header(recorded_at="2027-01-01T00:00:00+00:00", versions={"crest": "0.2.0"})
        assert ledger.begin(later) == header()
        assert len(ledger.records) == 4


@pytest.mark.parametrize(
    ("changed", "words", "hint"),
    [
        ({"study_sha256": "b" * 64, "study": {"name": "walk", "search": {"seed": 2}}}, "another study", "run folder"),
        ({"study_sha256": "b" * 64, "study": {"name": "walk", "search": {"seed": 2}}}, "search.seed", "undo"),
        ({"workload_fingerprint": "other"}, "data of the workload changed", "put the data back"),
    ],
)
def test_the_ledger_of_another_study_is_refused(path, changed, words, hint):
    filled(path)
    with Ledger(path) as ledger, pytest.raises(LedgerError, match=words) as caught:
        ledger.begin(header(**changed))
    assert hint in caught.value.hint


def test_the_ledger_of_another_schema_is_refused(path):
    with Ledger(path) as ledger:
        ledger.append(header(schema_version=999))
        with pytest.raises(LedgerError, match="schema 999"):
            ledger.begin(header())


def test_a_ledger_without_header_is_refused(path):
    with Ledger(path) as ledger:
        ledger.append(trial(0))
        with pytest.raises(LedgerError, match="line 1 is not a header"):
            ledger.begin(header())


def test_content_leaves_out_the_moment_and_the_machine_at_any_depth():
    here = [header(), trial(0)]
    there = [
        header(recorded_at="2030-01-01T00:00:00+00:00", host="there"),
        trial(0, price_seconds=9.0, train_seconds=8.0, host="there"),
    ]
    assert content(here) == content(there)
    assert content(here) != content([header(), trial(0, quantization="float32")])
    nested = header(study={"search": {"price_seconds": 1.0, "seed": 1}})
    assert content([nested]) == content([header(study={"search": {"seed": 1}})])


def test_a_missing_ledger_and_an_unwritable_folder_are_named(tmp_path):
    with pytest.raises(LedgerError, match=r"none\.jsonl: cannot be read"):
        read_ledger(tmp_path / "none.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "file" / "ledger.jsonl")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path)
