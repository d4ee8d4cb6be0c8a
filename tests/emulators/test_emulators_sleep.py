"""Waits in virtual time: WFI ends by a timer's interrupt, and by nothing that would not end it on silicon."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from crest.emulators.bus import MODELS
from crest.emulators.counter import Comparator, Counter
from crest.emulators.devices import AccessFaultError
from crest.emulators.nvic import Nvic
from crest.emulators.timeline import Rest, Timeline
from crest.errors import AssetError, EmulationError
from crest.targets import Peripheral
from tests.emulators.firmware import TARGET, c

TIMER, RTC = 0x40008000, 0x40024000
WAIT = """
int main(void) {
  static uint32_t result[2];
  __asm__ volatile("cpsid i");
  %(start)s
  REG(%(base)#x + 0x540) = %(count)d;
  REG(%(base)#x + 0x304) = %(interrupt_enable)d << 16;
  REG(0xE000E100 + 4 * (%(irq)d / 32)) = %(nvic_enable)d << (%(irq)d %% 32);
  REG(0xE000ED10) = %(deep)d << 2;
  __asm__ volatile("dsb\\n wfi\\n isb" ::: "memory");
  result[0] = %(read)s;
  result[1] = REG(%(base)#x + 0x140);
  put(result, sizeof result);
  return 0;
}
"""
ON_TIMER = {
    "base": TIMER, "irq": 8, "count": 16_000, "interrupt_enable": 1, "nvic_enable": 1, "deep": 0,
    "start": "REG(0x40008508) = 3; REG(0x40008510) = 0; REG(0x40008000) = 1;",
    "read": "(REG(0x40008044) = 1, REG(0x40008544))",
}  # fmt: skip
ON_RTC = {
    "base": RTC, "irq": 36, "count": 3277, "interrupt_enable": 1, "nvic_enable": 1, "deep": 1,
    "start": "REG(0x40024000) = 1;",
    "read": "REG(0x40024504)",
}  # fmt: skip


@pytest.mark.parametrize(("what", "seconds"), [(ON_TIMER, 1e-3), (ON_RTC, 0.1)], ids=["TIMER", "RTC"])
def test_a_compare_match_ends_the_wait_at_its_count(boot, what, seconds):
    machine = boot(c(WAIT % what))
    count, event = struct.unpack("<II", machine.receive())
    assert event == 1
    assert 0 <= count - what["count"] < 10
    (rest,) = machine.timeline().rests
    assert rest.state == ("deep_sleep" if what["deep"] else "sleep")
    assert rest.end / 64e6 == pytest.approx(seconds, rel=2e-3)


@pytest.mark.parametrize(
    "missing",
    [{"nvic_enable": 0}, {"interrupt_enable": 0}, {"start": "REG(0x40008508) = 3;"}],
    ids=["NVIC", "interrupt of the timer", "start"],
)
def test_what_would_sleep_for_ever_is_an_error(boot, missing):
    with pytest.raises(EmulationError, match="nothing that could wake the core") as caught:
        boot(c(WAIT % {**ON_TIMER, **missing})).receive()
    assert "NVIC" in caught.value.hint


def test_a_timer_of_the_cores_clock_does_not_end_a_deep_sleep(boot):
    stopped = TARGET.peripherals["timer0"].model_copy(update={"counts_hz": None, "core_cycles_per_count": 4})
    board = TARGET.model_copy(update={"peripherals": {**TARGET.peripherals, "timer0": stopped}})
    assert struct.unpack("<II", boot(c(WAIT % ON_TIMER), board).receive())[1] == 1
    with pytest.raises(EmulationError, match="nothing that could wake the core"):
        boot(c(WAIT % {**ON_TIMER, "deep": 1}), board).receive()


def test_a_pending_interrupt_that_is_not_cleared_lets_no_wait_begin(boot):
    body = (WAIT % ON_TIMER).replace("result[0] =", '__asm__ volatile("wfi"); __asm__ volatile("wfi"); result[0] =')
    machine = boot(c(body))
    assert struct.unpack("<II", machine.receive())[1] == 1
    assert len(machine.timeline().rests) == 1


def test_waits_without_a_sign_of_life_end(boot, monkeypatch):
    monkeypatch.setattr("crest.emulators.unicorn_engine.WAITS_MAX", 50)
    body = (WAIT % ON_TIMER).replace("result[0] =", 'for (;;) __asm__ volatile("wfi"); result[0] =')
    with pytest.raises(EmulationError, match="50 waits for a timer without a sign of life"):
        boot(c(body)).receive()


def test_a_window_opens_when_the_wake_up_is_over(boot):
    body = (WAIT % ON_TIMER).replace("result[0] =", "crest_layer_mark(OPEN); crest_layer_mark(CLOSE); result[0] =")
    machine = boot(c(body), cycles=lambda counts: 1000.0)
    machine.set_wake_up("sleep", 640)
    machine.receive()
    timeline = machine.timeline()
    (rest,), (window,) = timeline.rests, timeline.windows
    assert (rest.awake, window.opened) == (rest.end + 640, rest.end + 640)
    assert window.closed == window.opened + 1000
    stretches = timeline.stretches(rest.end, window.closed)
    assert [(s.state, s.cycles) for s in stretches] == [("wake_up", 640), ("run", 1000)]


class Host:
    """A virtual clock that is moved by hand, and a core of 1 MHz."""

    def __init__(self):
        self.now = 0

    def ticks(self):
        return self.now

    def clock_hz(self):
        return 1e6


def timer(model: str, **fields):
    host = Host()
    peripheral = Peripheral(model=model, base=0, size_bytes=0x1000, interrupt=1, **fields)
    return MODELS[model]("timer", peripheral, host), host


def test_counts_are_edges_of_a_clock_that_runs_since_power_up():
    host = Host()
    counter = Counter(host, 32768, 0xFFFFFF)
    host.now = 31  # one edge has passed, 30.5 us after power-up
    counter.start()
    assert counter.count == 0
    host.now = 61
    assert counter.count == 0
    host.now = 62  # the second edge, at 61.04 us
    assert counter.count == 1
    assert counter.cycle_of(32767) == 1_000_000


def test_a_comparator_meets_a_value_once_a_round_and_not_too_soon():
    host = Host()
    counter = Counter(host, 1_000_000, 0xFF, runs=True)
    comparator = Comparator(counter, ahead=2)
    host.now = 10
    comparator.set(11)  # one count ahead: met in the next round
    assert comparator.due() == 256 + 11
    comparator.set(12)
    assert comparator.due() == 12
    host.now = 300
    assert comparator.flag
    comparator.clear()
    assert not comparator.flag
    assert comparator.due() == 512 + 12


def test_nvic_keeps_what_pends_until_it_is_cleared():
    nvic = Nvic()
    assert not nvic.wakes([40])
    nvic.write(0xE104, 4, 1 << 8)
    assert nvic.enables(40) and nvic.read(0xE104, 4) == 1 << 8
    assert nvic.wakes([]), "it pended while it was disabled"
    nvic.write(0xE284, 4, 1 << 8)
    assert not nvic.wakes([])
    nvic.write(0xE184, 4, 1 << 8)
    assert not nvic.wakes([40])


def test_an_rtc_value_that_is_one_count_ahead_is_missed():
    rtc, host = timer("nrf-rtc", counts_hz=32768)
    rtc.write(0x000, 4, 1)
    rtc.write(0x304, 4, 1 << 16)
    host.now = 305_176  # 10_000 counts
    rtc.write(0x540, 4, 10_001)
    assert rtc.rises_at() == -(-(10_001 + (1 << 24)) * 1_000_000 // 32768)
    rtc.write(0x540, 4, 10_002)
    assert rtc.rises_at() == -(-10_002 * 1_000_000 // 32768)


def test_what_is_written_to_an_lptim_arrives_later():
    lptim, host = timer("stm32-lptim", counts_hz=32768)
    with pytest.raises(AccessFaultError, match="while ENABLE is 0"):
        lptim.write(0x14, 4, 5)
    lptim.write(0x08, 4, 1)
    lptim.write(0x10, 4, 1)
    with pytest.raises(AccessFaultError, match="while ENABLE is 1"):
        lptim.write(0x08, 4, 1)
    lptim.write(0x18, 4, 0xFFFF)
    assert lptim.read(0x00, 4) == 0
    host.now = 100  # more than three counts of 30.5 us
    assert lptim.read(0x00, 4) == 1 << 4
    lptim.write(0x10, 4, 5)
    lptim.write(0x14, 4, 1000)
    assert not lptim.raised()
    host.now = lptim.rises_at()
    assert lptim.raised() and lptim.read(0x1C, 4) == 1000
    lptim.write(0x04, 4, 1)
    assert not lptim.raised()


def test_a_prescaler_of_the_lptim_makes_its_range_longer():
    lptim, host = timer("stm32-lptim", counts_hz=32768)
    lptim.write(0x0C, 4, 7 << 9)
    lptim.write(0x10, 4, 1)
    lptim.write(0x10, 4, 5)
    host.now = 100_000_000
    assert lptim.read(0x1C, 4) == 25_600


def test_an_rtc_of_stm32_is_unlocked_set_up_and_compared():
    rtc, host = timer("stm32-rtc", counts_hz=32768)
    with pytest.raises(AccessFaultError, match="written while it is protected"):
        rtc.write(0x08, 4, 1 << 5)
    rtc.write(0x24, 4, 0xCA)
    rtc.write(0x24, 4, 0x53)
    rtc.write(0x08, 4, 1 << 5)
    rtc.write(0x0C, 4, 1 << 7)
    assert not rtc.read(0x0C, 4) & 1 << 6
    host.now = 100
    assert rtc.read(0x0C, 4) & 1 << 6
    rtc.write(0x10, 4, 0x7FFF)
    rtc.write(0x10, 4, 1 << 16 | 0x7FFF)
    rtc.write(0x0C, 4, 0)
    rtc.write(0x1C, 4, 0x80808080)
    rtc.write(0x44, 4, 15 << 24 | 0x7FFF - 100)
    rtc.write(0x08, 4, 1 << 5 | 1 << 8 | 1 << 12)
    with pytest.raises(AccessFaultError, match="beyond the model stm32-rtc"):
        rtc.write(0x44, 4, 15 << 24)  # the alarm is on
    host.now = rtc.rises_at()
    assert rtc.raised() and rtc.read(0x28, 4) == 0x7FFF - 100
    assert host.now == pytest.approx(100 / 16384 * 1e6, abs=100)
    rtc.write(0x08, 4, 1 << 5)
    assert not rtc.raised() and rtc.rises_at() is None


def test_an_alarm_of_the_rp2040_and_a_match_of_a_tim():
    alarm, host = timer("rp2040-timer", counts_hz=1_000_000)
    host.now = 70
    alarm.write(0x38, 4, 1)
    alarm.write(0x10, 4, 90)
    assert alarm.read(0x28, 4) == 70 and alarm.rises_at() == 90
    alarm.write(0x20, 4, 1)
    assert alarm.rises_at() is None

    tim, host = timer("stm32-tim", core_cycles_per_count=2)
    tim.write(0x0C, 4, 2)
    tim.write(0x00, 4, 1)
    tim.write(0x34, 4, 500)
    assert tim.rises_at() == 1000
    host.now = 1000
    assert tim.raised() and tim.read(0x10, 4) == 2
    tim.write(0x10, 4, 0)
    assert not tim.raised()
    tim.write(0x24, 4, 0)
    assert tim.rises_at() == 2000


@pytest.mark.parametrize(
    ("model", "offset", "value"),
    [
        ("nrf-timer", 0x200, 1),
        ("nrf-rtc", 0x344, 1),
        ("stm32-tim", 0x28, 1),
        ("stm32-tim", 0x2C, 99),
        ("stm32-lptim", 0x10, 2),
        ("rp2040-timer", 0x14, 1),
    ],
)
def test_what_a_model_does_not_know_is_an_error(model, offset, value):
    device, _ = timer(model, counts_hz=32768)
    with pytest.raises(AccessFaultError, match=f"beyond the model {model}"):
        device.write(offset, 4, value)


def test_a_timer_needs_its_clock_and_its_interrupt():
    for fields, words in ({"interrupt": 1}, "what does it count"), ({"counts_hz": 1.0}, "has no interrupt"):
        peripheral = Peripheral(model="nrf-rtc", base=0, size_bytes=0x1000, **fields)
        with pytest.raises(AssetError, match=words):
            MODELS["nrf-rtc"]("rtc", peripheral, SimpleNamespace(clock_hz=lambda: 64e6))


def test_stretches_of_a_timeline_add_up():
    timeline = Timeline(
        rests=[Rest("sleep", 0, 100, 120), Rest("sleep", 300, 500, 520), Rest("deep_sleep", 700, 900, 950)]
    )
    found = [(stretch.state, stretch.cycles) for stretch in timeline.stretches(100, 900)]
    assert found == [
        ("wake_up", 20), ("run", 180), ("sleep", 200), ("wake_up", 20), ("run", 180), ("deep_sleep", 200),
    ]  # fmt: skip
    assert sum(cycles for _, cycles in found) == 800
