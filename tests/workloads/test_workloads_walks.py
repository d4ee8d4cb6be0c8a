from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="generated walks need scipy")
from scipy.integrate import cumulative_simpson
from scipy.spatial.transform import Rotation

from crest.errors import DataError, OutputError
from crest.workloads import walks
from crest.workloads.gait import GRAVITY_M_S2, Motion, simulate
from crest.workloads.oxiod import (
    RATE_HZ,
    Recording,
    RecordingFiles,
    list_recordings,
    read_recording,
    write_recording,
)
from crest.workloads.steps import step_indicator
from crest.workloads.walks import ACTIVITIES, WORLD_FIELD_UT, SensorErrors, cached_walks, record, write_walks

SAMPLES = 3000


def walk(activity: str, seed: int = 4) -> Motion:
    return simulate(ACTIVITIES[activity], SAMPLES, RATE_HZ, np.random.default_rng(seed))


def perfect(activity: str, folder: Path, seed: int = 4) -> Recording:
    """Recorded without sensor errors, written and read back."""
    recording = record(walk(activity, seed), SensorErrors.none(), np.random.default_rng(0))
    write_recording(folder, "imu1.csv", recording)
    return read_recording(RecordingFiles("", folder / "imu1.csv", folder / "vi1.csv"))


def to_world(recording: Recording) -> Rotation:
    return Rotation.from_euler("ZXY", recording.attitude_rad[:, [2, 1, 0]])


def world_acceleration(recording: Recording) -> np.ndarray:
    total_g = recording.gravity_g + recording.user_acceleration_g
    return -to_world(recording).apply(total_g) * GRAVITY_M_S2 - [0.0, 0.0, GRAVITY_M_S2]


def drift(recording: Recording) -> np.ndarray:
    """Position from integrating the recorded columns twice, less the tracked one; start and first velocity fitted."""
    once = cumulative_simpson(world_acceleration(recording), dx=1 / RATE_HZ, axis=0, initial=0.0)
    twice = cumulative_simpson(once, dx=1 / RATE_HZ, axis=0, initial=0.0)
    time_s = np.arange(len(recording)) / RATE_HZ
    linear = np.column_stack([np.ones_like(time_s), time_s])
    difference = recording.position_m - twice
    return np.asarray(difference - linear @ np.linalg.lstsq(linear, difference, rcond=None)[0])


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_acceleration_integrates_to_the_path(activity: str, tmp_path: Path) -> None:
    recording = perfect(activity, tmp_path)
    assert np.ptp(recording.position_m[:, :2], axis=0).max() > 3.0
    assert np.abs(drift(recording)).max() < 0.002


def test_the_drift_test_sees_a_tilt_of_a_tenth_of_a_degree(tmp_path: Path) -> None:
    recording = perfect("handheld", tmp_path)
    recording.attitude_rad[:, 1] += np.radians(0.1)
    assert np.abs(drift(recording)).max() > 0.1


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_angular_rate_integrates_to_the_orientation(activity: str, tmp_path: Path) -> None:
    recording = perfect(activity, tmp_path)
    rate = recording.rotation_rate_rad_s
    turned = Rotation.from_quat(recording.orientation_xyzw[0])
    for step in (rate[:-1] + rate[1:]) / (2 * RATE_HZ):
        turned = turned * Rotation.from_rotvec(step)
    assert (turned.inv() * Rotation.from_quat(recording.orientation_xyzw[-1])).magnitude() < 0.005


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_attitude_gravity_field_and_tracked_orientation_agree(activity: str, tmp_path: Path) -> None:
    recording = perfect(activity, tmp_path)
    attitude = to_world(recording)
    assert (attitude.inv() * Rotation.from_quat(recording.orientation_xyzw)).magnitude().max() < 1e-5
    np.testing.assert_allclose(attitude.apply(recording.gravity_g), np.tile([0, 0, -1.0], (SAMPLES, 1)), atol=1e-5)
    field = attitude.apply(recording.magnetic_field_ut)
    np.testing.assert_allclose(field, np.tile(WORLD_FIELD_UT, (SAMPLES, 1)), atol=3e-4)


def test_core_motion_sign() -> None:
    """Lying face up and lifted: an iPhone reads (0, 0, -1) at rest and more negative when it accelerates upwards."""
    still = Motion(
        position_m=np.zeros((1, 3)),
        acceleration_m_s2=np.array([[0.0, 0.0, GRAVITY_M_S2 / 2]]),
        orientation=Rotation.identity(1),
        angular_rate_rad_s=np.zeros((1, 3)),
        speed_m_s=np.zeros(1),
        step_phase_rad=np.zeros(1),
    )
    recording = record(still, SensorErrors.none(), np.random.default_rng(0))
    np.testing.assert_allclose(recording.gravity_g, [[0, 0, -1]])
    np.testing.assert_allclose(recording.user_acceleration_g, [[0, 0, -0.5]])


@pytest.mark.parametrize("activity", ["handbag", "handheld", "pocket", "running"])
def test_detected_steps_follow_the_gait(activity: str) -> None:
    motion = walk(activity)
    recording = record(motion, SensorErrors(), np.random.default_rng(1))
    detected = np.flatnonzero(step_indicator(recording.gravity_g + recording.user_acceleration_g))
    walking = motion.speed_m_s > 0.3
    steps = np.diff(motion.step_phase_rad, prepend=motion.step_phase_rad[0])[walking].sum() / (2 * np.pi)
    assert steps > 20
    assert abs(len(detected) - steps) <= 0.1 * steps
    assert np.mean(walking[detected]) > 0.95


def test_walks_turn_stop_and_change_their_pace() -> None:
    motions = [walk("handheld", seed) for seed in range(6)]
    speed = np.concatenate([motion.speed_m_s for motion in motions])
    heading = np.concatenate(
        [np.arctan2(*np.gradient(motion.position_m, axis=0)[motion.speed_m_s > 0.5][:, 1::-1].T) for motion in motions]
    )
    assert 0.02 < np.mean(speed < 0.05) < 0.4
    assert speed.min() >= 0.0
    assert np.percentile(speed, 95) - np.percentile(speed, 30) > 0.3
    assert np.histogram(heading, bins=8, range=(-np.pi, np.pi))[0].min() > 0.02 * len(heading)


def test_faster_walks_step_faster_and_harder() -> None:
    motions = [walk("pocket", seed) for seed in range(4)]
    speed, vertical, rate_hz = np.hstack(
        [(motion.speed_m_s, motion.acceleration_m_s2[:, 2], np.gradient(motion.step_phase_rad)) for motion in motions]
    )
    slow = (speed > 0.5) & (speed < 1.0)
    fast = speed > 1.2
    assert slow.sum() > 200
    assert fast.sum() > 200
    assert rate_hz[fast].mean() > 1.1 * rate_hz[slow].mean()
    assert vertical[fast].std() > 1.3 * vertical[slow].std()


def test_motion_is_smooth() -> None:
    for activity in ACTIVITIES:
        jerk = np.abs(np.diff(walk(activity).acceleration_m_s2, axis=0)).max()
        assert jerk < 8.0, activity


def test_sensor_errors_have_the_stated_size() -> None:
    motion = walk("handheld")
    true = record(motion, SensorErrors.none(), np.random.default_rng(0))
    seen = record(motion, SensorErrors(), np.random.default_rng(0))
    noise = seen.rotation_rate_rad_s - true.rotation_rate_rad_s
    np.testing.assert_allclose(noise.std(axis=0), SensorErrors().rotation_noise_rad_s, rtol=0.1)
    assert 0 < np.abs(noise.mean(axis=0)).max() < 5 * SensorErrors().rotation_bias_rad_s
    field = seen.magnetic_field_ut - true.magnetic_field_ut
    np.testing.assert_allclose(field.std(axis=0), SensorErrors().field_noise_ut, rtol=0.1)
    np.testing.assert_array_equal(seen.position_m, true.position_m)


def _digest(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_walks(tmp_path / name, 2.0, seed)
    first, again, other = (_digest(tmp_path / name) for name in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first if name.endswith(".csv"))


def test_minutes_are_shared_among_activities_and_splits(tmp_path: Path) -> None:
    write_walks(tmp_path, 6.0, 1)
    rows: dict[str, int] = {}
    for split, listed in list_recordings(tmp_path).items():
        assert {files.name.split("/")[0] for files in listed} == set(ACTIVITIES)
        rows[split] = sum(len(read_recording(files)) for files in listed)
    assert sum(rows.values()) == pytest.approx(6 * 60 * RATE_HZ, rel=0.001)
    assert rows["train"] == pytest.approx(0.64 * 6 * 60 * RATE_HZ, rel=0.001)


def test_cache_is_filled_once_and_keyed_by_options(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, int]] = []

    def write(root: Path, minutes: float, seed: int) -> None:
        calls.append((minutes, seed))
        (root / "done").write_text("yes")

    monkeypatch.setattr(walks, "write_walks", write)
    first = cached_walks(2, 1)
    assert cached_walks(2.0, 1) == first
    assert {cached_walks(2.0, 2), cached_walks(3.0, 1)}.isdisjoint({first})
    assert calls == [(2, 1), (2.0, 2), (3.0, 1)]
    monkeypatch.setattr(walks, "GENERATOR_VERSION", walks.GENERATOR_VERSION + 1)
    assert cached_walks(2.0, 1) != first
    assert (first / "done").read_text() == "yes"


def test_an_interrupted_generation_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(root: Path, minutes: float, seed: int) -> None:
        (root / "half").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(walks, "write_walks", write)
    with pytest.raises(KeyboardInterrupt):
        cached_walks(2.0, 1)
    assert list((tmp_path / "cache" / "workloads").iterdir()) == []


def test_losing_a_race_uses_what_the_other_process_wrote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(root: Path, minutes: float, seed: int) -> None:
        (root / "mine").write_text("")
        final = root.with_name(root.name.removeprefix(".").rsplit("-", 1)[0])
        final.mkdir()
        (final / "theirs").write_text("")

    monkeypatch.setattr(walks, "write_walks", write)
    root = cached_walks(2.0, 1)
    assert [path.name for path in root.iterdir()] == ["theirs"]
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_cache_that_cannot_be_written_is_a_data_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREST_CACHE", str(tmp_path))

    def full_disk(root: Path, minutes: float, seed: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(walks, "write_walks", full_disk)
    with pytest.raises(DataError, match="cannot be written") as caught:
        cached_walks(2.0, 1)
    assert "CREST_CACHE" in (caught.value.hint or "")
    assert list((tmp_path / "workloads").iterdir()) == []


def test_a_cache_that_cannot_be_created_is_an_output_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CREST_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be created") as caught:
        cached_walks(2.0, 1)
    assert "CREST_CACHE" in (caught.value.hint or "")
