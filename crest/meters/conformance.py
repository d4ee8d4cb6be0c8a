"""What every meter has to keep, for authors of drivers: run it in a test of theirs."""

from __future__ import annotations

from collections.abc import Callable

from crest.errors import MeterError
from crest.meters.base import Meter, check_supply


def check_meter(meter: Meter, load: Callable[[], None]) -> None:
    """Hold a meter to its contract.

    Args:
        meter: not armed.
        load: draws some power from the supply, for a second or so, when called; is called twice.

    Raises:
        MeterError: what the meter does not keep.
    """
    _expect(isinstance(meter, Meter), "it lacks a member of the contract")
    _expect(bool(meter.identity.strip()), "identity is empty")
    check_supply(meter.boundary, meter.supply_volt)
    rate_hz = meter.sample_rate_hz
    _expect(rate_hz is None or rate_hz > 0, f"sample_rate_hz is {rate_hz}; None says that it is not known")
    try:
        meter.collect()
    except MeterError:
        pass
    else:
        raise MeterError("collect() hands over a recording before arm()")
    lengths = []
    for _ in range(2):
        meter.arm()
        load()
        recording = meter.collect()
        first, last = float(recording.time_s[0]), float(recording.time_s[-1])
        _expect(recording.energy_uj(first, last) > 0, "a load draws no energy")
        for mark in recording.marks:
            _expect(first <= mark.begin_s < mark.end_s <= last, f"{mark} lies outside of the recording")
        lengths.append(last - first)
    _expect(lengths[1] < 1.9 * lengths[0], "arm() does not drop what was recorded before")
    meter.close()
    meter.close()


def _expect(kept: bool, text: str) -> None:
    if not kept:
        raise MeterError(f"no conforming meter: {text}")
