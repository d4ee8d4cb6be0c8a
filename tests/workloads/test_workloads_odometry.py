from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crest.errors import CrestError, DataError, StudyError, TrainingError
from crest.workloads.base import Split
from crest.workloads.odometry import CHANNELS, Odometry, OdometryOptions
from crest.workloads.oxiod import list_recordings, read_recording
from crest.workloads.steps import step_indicator

WriteRoot = Callable[..., Path]


def along_x(n: int, speed_m_s: float = 1.0) -> np.ndarray:
    return np.column_stack([np.arange(n) * speed_m_s / 100, np.zeros(n), np.ones(n)])


@pytest.fixture
def root(write_root: WriteRoot) -> Path:
    curved = np.column_stack([np.arange(57) ** 2 / 1000, -np.sin(np.arange(57) / 20), np.zeros(57)])
    return write_root(train=[along_x(64), curved], valid=[along_x(40), along_x(19), along_x(35)], test=[along_x(50)])


def small(root: Path, **options: float) -> Odometry:
    return Odometry.from_options({"oxiod": str(root), "window": 20, "stride": 5, **options})


def test_windows_and_targets_by_hand(root: Path) -> None:
    workload = small(root)
    assert workload.input_shape == (20, 10)
    assert workload.period_ms == 50.0
    assert [(head.name, head.units, head.loss) for head in workload.heads] == [("x", 1, "mse"), ("y", 1, "mse")]
    train = workload.split("train")
    assert train.recording.tolist() == [0] * 9 + [1] * 8
    assert train.start.tolist() == [*range(0, 45, 5), *range(0, 40, 5)]
    assert (train.x.dtype, train.y.dtype) == (np.float32, np.float32)
    assert (train.recording.dtype, train.start.dtype) == (np.int32, np.int32)
    np.testing.assert_allclose(train.y[:9], np.tile([0.19, 0.0], (9, 1)), atol=1e-6)
    position = read_recording(list_recordings(root)["train"][1]).position_m
    np.testing.assert_allclose(train.y[9 + 3], (position[15 + 19] - position[15])[:2], atol=1e-6)
    assert workload.split("train") is train


def test_input_is_standardised_by_the_training_recordings_only(root: Path) -> None:
    workload = small(root)
    raw = []
    for files in list_recordings(root)["train"]:
        recording = read_recording(files)
        acceleration = recording.gravity_g + recording.user_acceleration_g
        sensors = [acceleration, recording.rotation_rate_rad_s, recording.magnetic_field_ut]
        raw.append(np.hstack([*sensors, step_indicator(acceleration)[:, None]]))
    samples = np.concatenate(raw)
    mean, deviation = workload.standardisation
    np.testing.assert_allclose(mean[:9], samples[:, :9].mean(axis=0))
    np.testing.assert_allclose(deviation[:9], samples[:, :9].std(axis=0))
    assert (mean[9], deviation[9]) == (0.0, 1.0)
    window = workload.split("train").x[9 + 2]
    np.testing.assert_allclose(window, (raw[1][10:30] - mean) / deviation, rtol=1e-5, atol=1e-6)
    assert len(CHANNELS) == window.shape[1]

    valid = read_recording(list_recordings(root)["valid"][0])
    rate = (valid.rotation_rate_rad_s - mean[3:6]) / deviation[3:6]
    np.testing.assert_allclose(workload.split("valid").x[1, :, 3:6], rate[5:25], rtol=1e-5, atol=1e-6)
    valid_first = small(root)
    np.testing.assert_array_equal(valid_first.split("valid").x, workload.split("valid").x)


def test_step_channel_is_binary_and_keeps_its_state_across_windows(root: Path) -> None:
    workload = small(root)
    valid = workload.split("valid")
    recording = read_recording(list_recordings(root)["valid"][0])
    indicator = step_indicator(recording.gravity_g + recording.user_acceleration_g)
    assert indicator.sum() > 0
    own = valid.recording == 0
    for window, start in zip(valid.x[own], valid.start[own], strict=True):
        np.testing.assert_array_equal(window[:, 9], indicator[start : start + 20])


def test_a_constant_channel_stays_finite(write_root: WriteRoot) -> None:
    root = write_root(train=[along_x(30)], valid=[along_x(30)], test=[along_x(30)])
    path = list_recordings(root)["train"][0].imu
    table = np.loadtxt(path, delimiter=",")
    table[:, 13] = 7.1
    np.savetxt(path, table, delimiter=",", fmt="%.6f")
    assert small(root).standardisation[1][6] == 1.0
    assert np.abs(small(root).split("train").x[:, :, 6]).max() < 1e-5


def test_short_recordings_give_no_window_but_keep_their_number(root: Path) -> None:
    assert np.unique(small(root).split("valid").recording).tolist() == [0, 2]


def test_a_split_without_one_window_is_refused(write_root: WriteRoot) -> None:
    root = write_root(train=[along_x(30)], valid=[along_x(19), along_x(5)], test=[along_x(20)])
    workload = small(root)
    assert len(workload.split("test")) == 1
    with pytest.raises(DataError, match="split valid has not one whole window of 20 samples"):
        workload.split("valid")


def test_windows_over_a_jump_of_the_tracker_are_left_out(write_root: WriteRoot) -> None:
    jumped = along_x(60)
    jumped[30:, 1] += 0.5
    root = write_root(train=[jumped], valid=[along_x(60)], test=[along_x(60)])
    assert small(root).split("train").start.tolist() == [0, 5, 10, 30, 35, 40]
    assert small(root, max_speed_m_s=51.0).split("train").start.tolist() == list(range(0, 45, 5))
    metrics = small(root).metrics("train", small(root).split("train").y)
    assert metrics["ate_m"] == pytest.approx(0.0, abs=1e-6)


def test_perfect_predictions_of_a_constant_velocity_have_no_error(root: Path) -> None:
    workload = small(root)
    metrics = workload.metrics("valid", workload.split("valid").y)
    assert tuple(metrics) == workload.error_metrics
    assert metrics == pytest.approx(dict.fromkeys(metrics, 0.0), abs=1e-5)


def test_metrics_by_hand(root: Path) -> None:
    """Every window is predicted 0.19 m too far in y; tracks of 5 and of 4 windows drift by 0.05 m a stride."""
    workload = small(root)
    metrics = workload.metrics("valid", workload.split("valid").y + np.float32([0.0, 0.19]))
    assert metrics["rmse_x"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["rmse_y"] == metrics["rmse_total"] == metrics["rmse_2d"] == pytest.approx(0.19, abs=1e-6)
    assert metrics["ate_m"] == pytest.approx(
        0.05 * ((0 + 1 + 2 + 3 + 4 + 5) / 6 + (0 + 1 + 2 + 3 + 4) / 5) / 2, abs=1e-6
    )
    assert metrics["rte_m_per_min"] == pytest.approx(60.0, abs=1e-3)


def test_rmse_counts_windows_and_tracks_count_recordings(root: Path) -> None:
    workload = small(root)
    valid = workload.split("valid")
    off = np.where(valid.recording[:, None] == 2, np.float32([0.19, 0.0]), np.float32(0.0))
    metrics = workload.metrics("valid", valid.y + off)
    assert metrics["rmse_x"] == pytest.approx(0.19 * np.sqrt(4 / 9), abs=1e-6)
    assert metrics["ate_m"] == pytest.approx((0.0 + 0.05 * 2) / 2, abs=1e-6)


def test_predictions_that_do_not_fit_are_refused(root: Path) -> None:
    workload = small(root)
    actual = workload.split("valid").y
    with pytest.raises(TrainingError, match=r"expected \(9, 2\)"):
        workload.metrics("valid", actual[1:])
    broken = actual.copy()
    broken[3, 1] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        workload.metrics("valid", broken)


def test_buffers_scale_with_the_element(root: Path) -> None:
    published = Odometry(root)
    assert published.input_shape == (200, 10)
    assert published.period_ms == 200.0
    assert published.buffers(1).buffers_bytes["sensor_window"] == 2000
    assert published.buffers(4).buffers_bytes["sensor_window"] == 8000
    assert published.buffers(4).total_bytes - published.buffers(1).total_bytes == 6000
    assert published.buffers(1).buffers_bytes["standardisation"] == 72
    assert published.buffers(1).buffers_bytes["step_detector"] >= 400


def test_fingerprint_follows_data_and_options_but_not_the_place(root: Path, tmp_path: Path) -> None:
    first = small(root).fingerprint()
    assert small(root).fingerprint() == first
    others = {small(root, stride=4).fingerprint(), small(root, max_speed_m_s=9).fingerprint()}
    moved = root.rename(tmp_path / "elsewhere")
    assert small(moved).fingerprint() == first
    track = list_recordings(moved)["test"][0].track
    track.write_text(track.read_text().replace("0.000000", "0.000001", 1))
    others.add(small(moved).fingerprint())
    listed = moved / "any name" / "Train.txt"
    listed.write_text("\n".join(reversed(listed.read_text().split())))
    others.add(small(moved).fingerprint())
    assert len(others | {first}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either"),
        ({"source": "generated", "oxiod": "data"}, "give either"),
        ({"source": "downloaded"}, "source"),
        ({"oxiod": "data", "seed": 3}, "seed only apply"),
        ({"source": "generated", "minuts": 3}, "did you mean 'minutes'"),
        ({"source": "generated", "minutes": 0.5}, "minutes"),
        ({"source": "generated", "seed": -1}, "seed"),
        ({"source": "generated", "window": 20, "stride": 20}, "must be smaller than window"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        Odometry.from_options(options)
    assert "workload.odometry" in str(caught.value)


def test_an_absent_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        Odometry.from_options(OdometryOptions(oxiod=tmp_path / "absent"))


def test_a_broken_recording_surfaces_with_its_line(root: Path) -> None:
    path = list_recordings(root)["valid"][0].imu
    lines = path.read_text().splitlines()
    lines[6] = lines[6] + ",1"
    path.write_text("\n".join(lines))
    workload = small(root)
    workload.split("train")
    with pytest.raises(CrestError, match=r"imu1\.csv:7: 17 columns"):
        workload.split("valid")


@pytest.mark.data
def test_real_recordings(oxiod_fixture: Path) -> None:
    workload = Odometry.from_oxiod(oxiod_fixture)
    train, test = workload.split("train"), workload.split("test")
    everything = Odometry.from_oxiod(oxiod_fixture, max_speed_m_s=1e6).split("train")
    assert len(train) < len(everything) == sum((n - 200) // 20 + 1 for n in (3245, 4697, 1655, 7700))
    assert 0.5 < train.x[..., 9].sum() / (train.x[..., 9].size / 100) < 2.5
    assert np.isfinite(train.x).all()
    trivial = workload.metrics("test", np.zeros_like(test.y))
    perfect = workload.metrics("test", test.y)
    assert perfect["rmse_total"] == 0.0
    assert perfect["ate_m"] < 0.25 < trivial["ate_m"]
    assert trivial["rmse_2d"] == pytest.approx(np.sqrt((test.y.astype(float) ** 2).sum(axis=1).mean()))


def _features(workload: Odometry, split: Split) -> np.ndarray:
    """Horizontal directions of the device's axes x measures of the pace x the way it is held."""
    mean, deviation = workload.standardisation
    raw = split.x * deviation + mean
    acceleration, field, steps = raw[..., :3], raw[..., 6:9], raw[..., 9]

    def unit(vectors: np.ndarray) -> np.ndarray:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))

    up = unit(-acceleration.mean(axis=1))
    east = unit(np.cross(unit(field.mean(axis=1)), up))
    axes = np.concatenate([east, np.cross(up, east)], axis=1)
    norm = np.linalg.norm(acceleration, axis=2)
    one = np.ones(len(raw))
    pace = np.stack([one, norm.std(axis=1), steps.sum(axis=1), np.abs(np.diff(norm, axis=1)).mean(axis=1)], axis=1)
    pose = np.column_stack([one, up])
    return np.column_stack([one, np.einsum("na,np,nq->napq", axes, pace, pose).reshape(len(raw), -1)])


def test_generated_walks_can_be_learned_but_not_trivially() -> None:
    """Ridge regression on 97 features leaves less than a third of the mean predictor's error, and more than nothing."""
    pytest.importorskip("scipy", reason="generated walks need scipy")
    workload = Odometry.from_options({"source": "generated"})
    train, test = workload.split("train"), workload.split("test")
    features = _features(workload, train)
    scale = features.std(axis=0) + 1e-9
    scaled = features / scale
    weights = np.linalg.solve(scaled.T @ scaled + 10.0 * np.eye(scaled.shape[1]), scaled.T @ train.y)
    ridge = workload.metrics("test", (_features(workload, test) / scale @ weights).astype(np.float32))
    trivial = workload.metrics("test", np.tile(train.y.mean(axis=0), (len(test), 1)))
    assert trivial["rmse_total"] > 2.5
    assert ridge["rmse_total"] < trivial["rmse_total"] / 3
    assert ridge["ate_m"] < trivial["ate_m"] / 2
    assert ridge["rmse_total"] > 0.2

    shuffled = np.random.default_rng(0).permutation(len(train))
    nonsense = np.linalg.solve(scaled.T @ scaled + 10.0 * np.eye(scaled.shape[1]), scaled.T @ train.y[shuffled])
    guessed = workload.metrics("test", (_features(workload, test) / scale @ nonsense).astype(np.float32))
    assert guessed["rmse_total"] > 0.9 * trivial["rmse_total"]
