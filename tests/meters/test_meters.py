"""Meters: what a recording holds, how it is read, and what each kind of meter sees of a known power."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.errors import MeterError, StudyError
from crest.meters import (
    CsvMeter,
    Mark,
    Recording,
    SimulatedMeter,
    Stretch,
    check_meter,
    load_meter,
    meter_names,
    read_windows,
)

BURSTS = [Stretch(0.5, 100.0), *[Stretch(1.0, 5000.0, True), Stretch(0.5, 100.0)] * 5]


def simulated(**errors: float) -> SimulatedMeter:
    meter = SimulatedMeter(supply_volt=3.0, **errors)  # type: ignore[arg-type]
    meter.arm()
    meter.feed(BURSTS)
    return meter


@given(
    st.lists(st.tuples(st.floats(1e-3, 5), st.floats(0, 1e5)), min_size=2, max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_energy_is_additive_and_grows_with_time(
    samples: list[tuple[float, float]], a: float, b: float, c: float
) -> None:
    recording = Recording(np.cumsum([step for step, _ in samples]), [power for _, power in samples])
    first, last = recording.time_s[0], recording.time_s[-1]
    begin, middle, end = (min(first + part * (last - first), last) for part in sorted((a, b, c)))
    whole = recording.energy_uj(begin, end)
    parts = recording.energy_uj(begin, middle) + recording.energy_uj(middle, end)
    assert whole == pytest.approx(parts, rel=1e-6, abs=1e-6 * recording.energy_uj(first, last) + 1e-9)
    assert whole >= -1e-6 * recording.energy_uj(first, last)


def test_energy_is_the_area_of_trapezoids() -> None:
    ramp = Recording([0, 2], [0, 100])
    assert ramp.energy_uj(0, 2) == pytest.approx(100)
    assert ramp.energy_uj(1, 2) == pytest.approx(75)
    assert ramp.mean_power_uw(0, 1) == pytest.approx(25)
    with pytest.raises(MeterError, match="outside of what was recorded"):
        ramp.energy_uj(1, 3)
    with pytest.raises(MeterError, match="outside"):
        ramp.energy_uj(2, 1)


@pytest.mark.parametrize(
    ("time_s", "power_uw", "message"),
    [
        ([0], [1], "two samples"),
        ([0, 1], [1], "two samples"),
        ([0, 1, 1], [1, 1, 1], "sample 3: time does not grow"),
        ([0, 1], [1, float("nan")], "sample 2: a power is no number"),
        ([float("inf"), 1], [1, 1], "sample 1: a time is no number"),
        ([0, 1], [1, -2], "sample 2: power is below zero: -2"),
    ],
)
def test_a_recording_that_makes_no_sense_names_the_sample(
    time_s: list[float], power_uw: list[float], message: str
) -> None:
    with pytest.raises(MeterError, match=message):
        Recording(time_s, power_uw, origin="bench")


def test_windows_give_the_energy_of_one_repetition_their_median_and_spread() -> None:
    reading = read_windows([simulated().collect()], repetitions=100)
    assert reading.energy_uj == pytest.approx(50.0)
    assert reading.duration_ms == pytest.approx(10.0)
    assert (reading.windows, reading.spread, reading.is_steady) == (5, pytest.approx(0, abs=1e-6), True)


def test_an_odd_window_moves_the_spread_and_not_the_median() -> None:
    powers = [10.0, 10.0, 12.0, 10.0, 10.0]
    time_s = np.arange(10, dtype=float)
    recording = Recording(time_s, np.repeat(powers, 2), tuple(Mark(2.0 * n, 2.0 * n + 1) for n in range(5)))
    reading = read_windows([recording], 1)
    assert reading.energy_uj == pytest.approx(10) and reading.spread == pytest.approx(0.2) and not reading.is_steady
    with pytest.raises(MeterError, match="no window is marked"):
        read_windows([Recording([0, 1], [1, 1])], 1)
    twice = read_windows([recording, recording], 1)
    assert (twice.windows, twice.energy_uj) == (10, reading.energy_uj)
    with pytest.raises(MeterError, match="0 repetitions"):
        read_windows([recording], 0)


def test_the_simulated_meter_has_the_errors_that_it_is_given() -> None:
    def energy(**errors: float) -> float:
        return read_windows([simulated(**errors).collect()], 1).energy_uj

    assert energy(offset_uw=50) == pytest.approx(5050)
    assert energy(resolution_uw=3000) == pytest.approx(6000, rel=1e-2)
    assert energy(drift_per_s=0.01) == pytest.approx(5000 * (1 + 0.01 * 4.0), rel=1e-3)  # the third of five, around 4 s
    assert energy(noise=0.01, seed=3) == pytest.approx(5000, rel=1e-3)
    assert energy(noise=0.01, seed=3) == energy(noise=0.01, seed=3) != energy(noise=0.01, seed=4)
    assert energy(gain_spread=0.02, seed=1) != pytest.approx(5000, rel=1e-3)
    assert 0 < abs(energy(sample_rate_hz=7) / 5000 - 1) < 0.1  # samples that straddle the ends of a window


def test_a_slow_meter_loses_no_energy_over_the_whole_recording() -> None:
    recording = simulated(sample_rate_hz=3.3).collect()
    assert recording.energy_uj(0, recording.time_s[-1]) == pytest.approx(sum(s.duration_s * s.power_uw for s in BURSTS))


@pytest.mark.parametrize(
    ("text", "supply_volt", "energy_uj"),
    [
        ("time_s,power_uw\n0,10\n2,10\n", None, 20),
        ("Timestamp(ms),Current(uA),D0-D7\n0,10,00000000\n1000,10,00000001\n2000,10,00000001\n", 3.0, 60),
        ("Time (s),Current (mA),Voltage (V)\n0,1,2\n2,1,2\n", None, 4000),
        ("\ufefftime_us,power_mW,remark\n0,1,first\n2000000,1,\n", None, 2000),
        ("#time (s), current (A), voltage (V)\n0,1e-6,3\n2,1e-6,3\n", None, 6),
        ("time_ms,current_µA,trigger\n0,1,0\n2000,1,0\n", 1.5, 3),
        ("Timestamp (s);Main current (A);Main voltage (V)\n0;1e-3;3\n2;1e-3;3\n", None, 6000),
        ('"time_s"\t"power_uw"\n"0"\t"10"\n"2"\t"10"\n', None, 20),
    ],
)
def test_files_of_several_instruments_are_read(
    tmp_path: Path, text: str, supply_volt: float | None, energy_uj: float
) -> None:
    path = tmp_path / "recording.csv"
    path.write_text(text)
    meter = CsvMeter(path, supply_volt=supply_volt)
    meter.arm()
    recording = meter.collect()
    assert recording.energy_uj(0, 2) == pytest.approx(energy_uj)
    assert recording.marks == ((Mark(1.0, 2.0),) if "D0" in text else ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column of time"),
        ("time_s\n0\n1\n", "none of power or current"),
        ("time,power_uw\n0,1\n1,1\n", "column 'time': no unit"),
        ("time_min,power_uw\n0,1\n1,1\n", "column 'time_min': unit 'min' is not known"),
        ("time_s,power_uw,power_mw\n0,1,1\n1,1,1\n", "two columns of power"),
        ("time_s,current_ua\n0,1\n1,1\n", "a current, and no voltage"),
        ("time_s,power_uw\n0,1\n1,many\n", "line 3, column 2: 'many' is no number"),
        ("time_s,power_uw\n0,1\n1\n", "line 3, column 2: nothing is no number"),
        ("time_s,power_uw\n0,1\n", "two samples"),
        ("time_s,power_uw\n", "two samples"),
        ("time_s,power_uw,D0-D7\n0,1,00000000\n1,1\n", "line 3, column 3: '' is not 8 levels"),
        ("time_s,power_uw,D0-D7\n0,1,00000000\n1,1,1\n", "line 3, column 3: '1' is not 8 levels"),
        ("time_s,power_uw,D0-D7\n0,1,00000000\n1,1,000000001\n", "line 3, column 3: '000000001' is not 8 levels"),
        ("time_s,power_uw,D0-D7\n0,1,00000000\n1,1,hellothe\n", "line 3, column 3: 'hellothe' is not 8 levels"),
        ("time_s,power_uw,trigger\n0,1,0\n1,1,nan\n", "line 3, column 3: nan is no level"),
        ("time_s,power_uw\n1,1\n\n0,1\n", "line 4: time does not grow: 0"),
        ("time_s,power_uw\n0,1\n1,nan\n", "line 3: a power is no number"),
        ("time_s,power_uw\n0,1\n1,-1\n0,1\n", "line 3: power is below zero: -1"),
        ("time_s;power_uw\n0;1\n1;1,5\n", "line 3, column 2: '1,5' is no number"),
        ("Timestamp,Main current (A)\n0,1\n1,1\n", "column 'Timestamp': no unit"),
    ],
)
def test_a_bad_file_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    meter = CsvMeter(path)
    meter.arm()
    with pytest.raises(MeterError) as caught:
        meter.collect()
    assert message in caught.value.message and str(path) in caught.value.message


@pytest.mark.parametrize("late", [b"\xb5", b"x" * 140_000], ids=["not UTF-8", "an endless cell"])
def test_what_no_reader_takes_late_in_a_file_is_an_error(tmp_path: Path, late: bytes) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"time_s,power_uw\n" + b"".join(b"%d,5\n" % n for n in range(5000)) + b"5000," + late + b"\n")
    meter = CsvMeter(path)
    meter.arm()
    with pytest.raises(MeterError, match=r"long\.csv: cannot be read"):
        meter.collect()


@pytest.mark.filterwarnings("error")
def test_energy_beyond_all_numbers_is_an_error() -> None:
    with pytest.raises(MeterError, match="its energy is no number"):
        Recording([0, 1e9], [1e308, 1e308])


@pytest.mark.filterwarnings("error")
def test_a_file_without_samples_is_told_by_the_error_alone(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("time_s,power_uw\n")
    meter = CsvMeter(path)
    meter.arm()
    with pytest.raises(MeterError, match="two samples"):
        meter.collect()


@pytest.mark.parametrize(
    "wrong",
    [
        {"supply_volt": 0.0},
        {"supply_volt": float("nan")},
        {"boundary": "rail"},
        {"longest_step_s": float("nan")},
        {"longest_step_s": 0.0},
    ],
)
def test_a_file_meter_that_no_recording_has_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(MeterError, match=next(iter(wrong))):
        CsvMeter(tmp_path / "recording.csv", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate_hz": 0.0},
        {"sample_rate_hz": float("nan")},
        {"sample_rate_hz": float("inf")},
        {"seed": -1},
        {"supply_volt": -1.0},
        {"noise": -1.0},
        {"gain_spread": float("inf")},
        {"drift_per_s": float("nan")},
        {"offset_uw": float("inf")},
        {"resolution_uw": -1.0},
        {"boundary": "rail"},
    ],
)
def test_no_instrument_is_like_that(wrong: dict[str, Any]) -> None:
    with pytest.raises(MeterError, match=next(iter(wrong))):
        SimulatedMeter(**wrong)


def test_a_recording_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = SimulatedMeter(sample_rate_hz=1e6)
    meter.arm()
    with pytest.raises(MeterError, match="no stretch"):
        meter.feed([Stretch(float("inf"), 1.0)])
    meter.feed([Stretch(1e9, 1.0)])
    with pytest.raises(MeterError, match="more than 50,000,000 samples"):
        meter.collect()
    for module in ("recording", "csv_meter"):
        monkeypatch.setattr(f"crest.meters.{module}.SAMPLES_MAX", 3)
    path = tmp_path / "long.csv"
    path.write_text("time_s,power_uw\n" + "".join(f"{n},5\n" for n in range(9)))
    endless = CsvMeter(path)
    endless.arm()
    with pytest.raises(MeterError, match=r"long\.csv: more than 3 samples"):
        endless.collect()
    with pytest.raises(MeterError, match="more than 3 samples"):
        Recording(range(4), [1.0] * 4)


def test_no_time_has_no_mean_and_is_no_window() -> None:
    recording = Recording([0, 2], [0, 100], (Mark(1.0, 1.0),))
    with pytest.raises(MeterError, match="no mean over no time"):
        recording.mean_power_uw(1, 1)
    with pytest.raises(MeterError, match="a window from 1 s to 1 s is none"):
        read_windows([recording], 1)
    marked = Recording([0, 2], [0, 100], (Mark(0.0, 1.0),))
    with pytest.raises(MeterError, match="nan repetitions"):
        read_windows([marked], float("nan"))  # type: ignore[arg-type]


# As Power Profiler writes them: a character for each line, a column for each, or both; "-" and "X" are no level.
PROFILER = {
    "Timestamp(ms),Current(uA),D0-D7": "{},5,0{}---{}0X",
    "Timestamp(ms),Current(uA),D0,D1,D5": "{},5,0,{},{}",
    "Timestamp(ms),Current(uA),D0-D7,D0,D1,D5": "{0},5,0{1}---{2}0X,0,{1},{2}",
}


@pytest.mark.parametrize("header", PROFILER)
def test_the_trigger_is_the_line_that_changes_or_the_one_that_is_named(tmp_path: Path, header: str) -> None:
    path = tmp_path / "profiler.csv"

    def record(levels: list[tuple[int, int]], **options: str) -> tuple[Mark, ...]:
        lines = [PROFILER[header].format(n * 1000, *level) for n, level in enumerate(levels)]
        path.write_text("\n".join([header, *lines]) + "\n")
        meter = CsvMeter(path, supply_volt=3.0, **options)  # type: ignore[arg-type]
        meter.arm()
        return meter.collect().marks

    assert record([(0, 1), (1, 1), (0, 1), (0, 1)]) == (Mark(1.0, 2.0),)
    assert record([(0, 1), (0, 1), (0, 1)]) == ()
    both = [(0, 0), (1, 0), (0, 1), (0, 0)]
    with pytest.raises(MeterError, match="several trigger lines change: d1, d5"):
        record(both)
    assert record(both, trigger="D5") == (Mark(2.0, 3.0),)
    with pytest.raises(MeterError, match="no trigger line 'D9'") as caught:
        record(both, trigger="D9")
    assert caught.value.hint is not None and "d1" in caught.value.hint


def test_lost_samples_are_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "lossy.csv"
    kept = [n for n in range(100) if not 40 <= n < 60]
    path.write_text("time_ms,power_uw\n" + "".join(f"{n / 100},5\n" for n in kept))
    meter = CsvMeter(path)
    meter.arm()
    with pytest.raises(MeterError, match=r"line 42: 0\.00021 s without a sample, after steps of 1e-05 s"):
        meter.collect()
    lenient = CsvMeter(path, longest_step_s=0.001)
    lenient.arm()
    assert lenient.collect().energy_uj(0, 0.00099) == pytest.approx(5 * 0.00099)
    # By hand, now and then: no step is the usual one.
    path.write_text("time_s,power_uw\n" + "".join(f"{1.5**n},5\n" for n in range(20)))
    meter.arm()
    assert len(meter.collect().time_s) == 20


def test_a_line_that_goes_up_with_the_last_sample_marks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("time_s,power_uw,trigger\n0,1,0\n1,1,1\n2,1,0\n3,1,1\n")
    meter = CsvMeter(path)
    meter.arm()
    assert meter.collect().marks == (Mark(1.0, 2.0),)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    meter = CsvMeter(tmp_path / "none.csv")
    with pytest.raises(MeterError, match="not armed"):
        meter.collect()
    meter.arm()
    with pytest.raises(MeterError, match="cannot be read"):
        meter.collect()


def test_built_in_meters_keep_the_contract(tmp_path: Path) -> None:
    meter = load_meter("simulated")()
    assert isinstance(meter, SimulatedMeter)
    check_meter(meter, lambda: meter.feed(BURSTS))
    path = tmp_path / "recording.csv"
    path.write_text("time_s,power_uw\n0,10\n2,10\n")
    check_meter(load_meter("csv")(path), lambda: None)


def test_a_meter_that_breaks_the_contract_is_found() -> None:
    class Hoarder(SimulatedMeter):
        """Never drops what it has."""

        def arm(self) -> None:
            self._trace = [] if self._trace is None else self._trace
            self._trace += self.__dict__.setdefault("kept", [])

        def feed(self, trace):  # type: ignore[no-untyped-def]
            super().feed(trace)
            self.__dict__["kept"] = list(self._trace or [])

    hoarder = Hoarder()
    with pytest.raises(MeterError, match="does not drop"):
        check_meter(hoarder, lambda: hoarder.feed(BURSTS))
    idle = SimulatedMeter()
    with pytest.raises(MeterError, match="draws no energy"):
        check_meter(idle, lambda: idle.feed([Stretch(1.0, 0.0)]))


def test_meters_are_found_by_name() -> None:
    assert {"csv", "simulated"} <= set(meter_names())
    with pytest.raises(StudyError, match="did you mean 'simulated'"):
        load_meter("simulatd")
