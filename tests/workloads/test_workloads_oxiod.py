from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from workload_recordings import recording_of

from crest.errors import DataError
from crest.workloads.oxiod import list_recordings, read_recording, write_recording, write_split_file


def straight(n: int) -> np.ndarray:
    return np.linspace([0.0, 0.0], [1.0, 2.0], n)


@pytest.fixture
def root(write_root: Callable[..., Path]) -> Path:
    return write_root(train=[straight(12), straight(9)], valid=[straight(8)], test=[straight(7)])


def test_round_trip_keeps_six_decimals(tmp_path: Path) -> None:
    written = recording_of(np.random.default_rng(1).normal(size=(30, 3)), seed=7)
    for split, entry in (("train", "data1/syn/imu1.csv"), ("valid", "data2/syn/imu1.csv"), ("test", "d/imu_x.csv")):
        write_recording(tmp_path / "act", entry, written)
        write_split_file(tmp_path / "act", split, [entry])  # type: ignore[arg-type]
    listed = list_recordings(tmp_path)
    assert [files.name for split in listed.values() for files in split] == [
        "act/data1/syn/imu1.csv",
        "act/data2/syn/imu1.csv",
        "act/d/imu_x.csv",
    ]
    for split in listed.values():
        read = read_recording(split[0])
        assert len(read) == 30
        for field in fields(read):
            np.testing.assert_allclose(getattr(read, field.name), getattr(written, field.name), atol=5.1e-7)


def test_columns_lie_where_the_format_says(tmp_path: Path) -> None:
    write_recording(tmp_path, "imu1.csv", recording_of(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])))
    imu = np.loadtxt(tmp_path / "imu1.csv", delimiter=",")
    track = np.loadtxt(tmp_path / "vi1.csv", delimiter=",")
    assert imu.shape == (2, 16)
    assert track.shape == (2, 9)
    assert imu[:, 0].tolist() == track[:, 0].tolist() == [0.0, 0.01]
    assert track[:, 1].tolist() == [0.0, 1.0]
    assert track[:, 2:5].tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    expected = recording_of(np.zeros((2, 3)))
    np.testing.assert_allclose(imu[:, 1:4], expected.attitude_rad, atol=1e-6)
    np.testing.assert_allclose(imu[:, 4:7], expected.rotation_rate_rad_s, atol=1e-6)
    np.testing.assert_allclose(imu[:, 7:10], expected.gravity_g, atol=1e-6)
    np.testing.assert_allclose(imu[:, 10:13], expected.user_acceleration_g, atol=1e-6)
    np.testing.assert_allclose(imu[:, 13:16], expected.magnetic_field_ut, atol=1e-6)


def test_activities_are_folders_with_split_files_in_order_of_name(write_root: Callable[..., Path]) -> None:
    for activity in ("zebra", "ant hill"):
        root = write_root(activity=activity, train=[straight(9)] * 2, valid=[straight(8)], test=[straight(7)])
    (root / "notes").mkdir()
    (root / "readme.txt").write_text("hello")
    (root / "zebra" / "Train_Valid.txt").write_text("not read\n")
    assert [files.name for files in list_recordings(root)["train"]] == [
        "ant hill/data1/syn/imu1.csv",
        "ant hill/data1/syn/imu2.csv",
        "zebra/data1/syn/imu1.csv",
        "zebra/data1/syn/imu2.csv",
    ]


def test_blank_lines_and_windows_line_ends_are_read_over(root: Path) -> None:
    (root / "any name" / "Train.txt").write_bytes(b"\r\ndata1/syn/imu2.csv \r\n\r\n")
    listed = list_recordings(root)["train"]
    assert [files.name for files in listed] == ["any name/data1/syn/imu2.csv"]
    assert len(read_recording(listed[0])) == 9


def _set_field(path: Path, line: int, column: int, text: str) -> None:
    lines = path.read_text().splitlines()
    parts = lines[line - 1].split(",")
    parts[column - 1] = text
    lines[line - 1] = ",".join(parts)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["imu1.csv", "vi1.csv"])
@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (4, 5, "nan", "{path}:4: column 5: nan is not a finite number"),
        (2, 9, "-inf", "{path}:2: column 9: -inf is not a finite number"),
        (12, 1, "1,2,3", "{path}:12: {wrong} columns, expected {right}"),
        (1, 2, "roll", "{path}:1: column 2: 'roll' is not a number"),
        (3, 3, "", "{path}:3: column 3: '' is not a number"),
    ],
)
def test_a_broken_line_is_named(root: Path, name: str, line: int, column: int, text: str, message: str) -> None:
    files = list_recordings(root)["train"][0]
    path = files.imu.with_name(name)
    _set_field(path, line, column, text)
    right = 16 if name.startswith("imu") else 9
    with pytest.raises(DataError) as caught:
        read_recording(files)
    assert str(caught.value) == message.format(path=path, right=right, wrong=right + 2)


def test_a_table_that_is_narrow_throughout_is_refused(root: Path) -> None:
    files = list_recordings(root)["train"][0]
    files.imu.write_text("1,2,3\n" * 12)
    with pytest.raises(DataError, match=r"imu1\.csv:1: 3 columns, expected 16"):
        read_recording(files)


def test_bytes_that_are_not_text_are_refused(root: Path) -> None:
    files = list_recordings(root)["train"][0]
    lines = files.imu.read_bytes().splitlines()
    lines[4] = b"\xff\xfe" + lines[4]
    files.imu.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"imu1\.csv:5: column 1"):
        read_recording(files)


def test_unequal_rows_name_both_files(root: Path) -> None:
    files = list_recordings(root)["train"][0]
    files.track.write_text("".join(files.track.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"imu1\.csv: 12 rows, but .*vi1\.csv has 11"):
        read_recording(files)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_table_is_refused_without_a_warning(root: Path, text: str, recwarn: pytest.WarningsRecorder) -> None:
    files = list_recordings(root)["train"][0]
    files.track.write_text(text)
    with pytest.raises(DataError, match=r"vi1\.csv: is empty"):
        read_recording(files)
    assert not recwarn.list


def test_a_file_that_vanished_after_listing_is_a_data_error(root: Path) -> None:
    files = list_recordings(root)["train"][0]
    files.imu.unlink()
    with pytest.raises(DataError, match=r"imu1\.csv: cannot be read"):
        read_recording(files)


@pytest.mark.parametrize("missing", ["imu2.csv", "vi2.csv"])
def test_a_listed_recording_that_is_absent_names_the_line(root: Path, missing: str) -> None:
    (root / "any name" / "data1" / "syn" / missing).unlink()
    with pytest.raises(DataError, match=rf"Train\.txt:2: lists 'data1/syn/imu2\.csv', but .*{missing} is missing"):
        list_recordings(root)


@pytest.mark.parametrize("name", ["Train.txt", "Valid.txt", "Test.txt"])
def test_every_split_file_is_needed_and_must_list_something(root: Path, name: str) -> None:
    path = root / "any name" / name
    path.write_text("\n  \n")
    with pytest.raises(DataError, match=rf"{name}: lists no recording"):
        list_recordings(root)
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}: no such file"):
        list_recordings(root)


@pytest.mark.parametrize("entry", ["data1/syn/vi1.csv", "../any name/data1/syn/imu1.csv", "/tmp/imu1.csv", "imu.txt"])
def test_a_line_that_is_no_recording_is_refused(root: Path, entry: str) -> None:
    (root / "any name" / "Test.txt").write_text(f"data3/syn/imu1.csv\n{entry}\n")
    with pytest.raises(DataError, match=r"Test\.txt:2: .* names no recording"):
        list_recordings(root)


def test_a_recording_in_two_splits_is_refused(root: Path) -> None:
    (root / "any name" / "Test.txt").write_text("data3/syn/imu1.csv\ndata1/syn/imu2.csv\n")
    with pytest.raises(DataError, match=r"Test\.txt:2: .*listed before, at .*Train\.txt:2"):
        list_recordings(root)


def test_a_root_without_activities_or_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no activity found"):
        list_recordings(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        list_recordings(tmp_path / "absent")


def test_the_writer_refuses_a_name_that_the_loader_would_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names no recording"):
        write_recording(tmp_path, "data1/syn/walk.csv", recording_of(np.zeros((3, 3))))


@pytest.mark.data
def test_real_recordings_load(oxiod_fixture: Path) -> None:
    listed = list_recordings(oxiod_fixture)
    assert {split: len(files) for split, files in listed.items()} == {"train": 4, "valid": 1, "test": 2}
    assert [len(read_recording(files)) for files in listed["train"]] == [3245, 4697, 1655, 7700]
    recording = read_recording(listed["valid"][0])
    assert recording.gravity_g[0].tolist() != recording.user_acceleration_g[0].tolist()
    np.testing.assert_allclose(np.linalg.norm(recording.gravity_g, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(recording.orientation_xyzw, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(recording.magnetic_field_ut, axis=1), np.hypot(22.0, 42.0), atol=1e-3)
