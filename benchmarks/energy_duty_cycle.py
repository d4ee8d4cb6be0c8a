"""The one published power of a duty cycle against the power states: streaming wake words on an STM32L4R5.

MLPerf Tiny v1.3, NUCLEO-L4R5ZI-P with an external converter at 3.0 V: a network for each hop of 32 ms, asleep at
120 MHz in between while I2S and DMA go on sampling; mean power over 1200 s. What those two draw on this chip was not
seen. An STM32F405 (DS8626, tables 28 and 37) draws 2.43 uA/MHz for I2S2, 37.44 uA/MHz for DMA1 and up to 0.8 mA for its
audio PLL. At 120 MHz, the first alone and all three are the ends of an interval, and their geometric middle is the
value: currents behind a linear regulator, taken through the converter as the model takes the current of Sleep.
"""

from __future__ import annotations

from _energy_runs import EXTERNAL_SMPS
from _figures import options, report
from _silicon import table

from crest.energy import load_energy_model
from crest.intervals import combine
from crest.measurement import Estimate
from crest.schedule import Cadenced, characterise
from crest.targets import load_target

TARGET, CLOCK_MHZ, VOLT = "nucleo-l4r5zi", 120.0, 3.0
I2S_UA_PER_MHZ, DMA_UA_PER_MHZ, AUDIO_PLL_UA = 2.43, 37.44, 800.0
THROUGH_CONVERTER = 0.457


def sampling_uw() -> Estimate:
    """Power of I2S and DMA while the core sleeps or runs."""
    low_ua = I2S_UA_PER_MHZ * CLOCK_MHZ
    high_ua = (I2S_UA_PER_MHZ + DMA_UA_PER_MHZ) * CLOCK_MHZ + AUDIO_PLL_UA
    middle_ua = float((low_ua * high_ua) ** 0.5)
    current = Estimate(value=middle_ua, origin="estimated", low=low_ua, high=high_ua, confidence=0.9)
    return current.scaled(VOLT * THROUGH_CONVERTER)


def figures() -> dict[str, float | None]:
    """Published and predicted power, in mW."""
    (row,) = [
        row for row in table("mlperf/mlperf_tiny_open.csv") if row["benchmark"] == "sww" and "L4R5ZI" in row["board"]
    ]
    period_ms = 1e3 * float(row["energy_average_period"])
    latency_ms = Estimate(value=float(row["energy_average_duty_cycle"]) * period_ms, origin="measured")
    board = load_target(TARGET)
    supply = board.supply.model_copy(update={"volt": VOLT, "regulator": EXTERNAL_SMPS})
    model = load_energy_model(board.model_copy(update={"supply": supply}))
    states = model.states(CLOCK_MHZ, board.code_region, VOLT)
    asleep = characterise(latency_ms, states, Cadenced(period_ms=period_ms, sleep="sleep")).average_power_uw
    whole = combine(lambda states_uw, sampling: states_uw + sampling, asleep, sampling_uw())
    published_mw = float(row["power_mW_median"])
    assert asleep.value and whole.value and whole.low and whole.high
    return {
        "published_mw": published_mw,
        "states_mw": asleep.value * 1e-3,
        "states_error_pct": 100 * (asleep.value * 1e-3 / published_mw - 1),
        "with_sampling_mw": whole.value * 1e-3,
        "with_sampling_low_mw": whole.low * 1e-3,
        "with_sampling_high_mw": whole.high * 1e-3,
        "with_sampling_error_pct": 100 * (whole.value * 1e-3 / published_mw - 1),
    }


if __name__ == "__main__":
    chosen = options(__doc__ or "")
    report(figures(), chosen.json)
