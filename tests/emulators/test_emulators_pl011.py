"""Arm's PL011: bytes both ways, set up as on silicon; and ready flags that are set while a bit is clear."""

from __future__ import annotations

import pytest

from crest.emulators.devices import AccessFaultError, Registers, Uart
from crest.emulators.pl011 import pl011
from crest.targets import Peripheral

DR, FR, IBRD, FBRD, LCR_H, CR, IMSC, RIS, MIS, ICR = 0, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x38, 0x3C, 0x40, 0x44
RXFE, TXFE = 1 << 4, 1 << 7
RXIM, RTIM = 1 << 4, 1 << 6


class Host:
    """Counts how often a device hands control back."""

    def __init__(self):
        self.stops = 0

    def stop(self):
        self.stops += 1


@pytest.fixture
def host():
    return Host()


def wired(host, *, divider=72, lines=3 << 5, control=0x301):
    device = pl011("uart0", Peripheral(model="arm-pl011", base=0, size_bytes=0x1000), host)
    device.write(IBRD, 4, divider)
    device.write(LCR_H, 4, lines)
    device.write(CR, 4, control)
    return device


def test_bytes_go_both_ways(host):
    uart = wired(host)
    assert isinstance(uart, Uart)
    assert uart.read(FR, 4) == TXFE | RXFE
    uart.feed(b"ab")
    assert uart.read(FR, 4) == TXFE
    assert bytes([uart.read(DR, 4), uart.read(DR, 4)]) == b"ab"
    assert uart.read(FR, 4) == TXFE | RXFE
    for byte in b"xyz":
        uart.write(DR, 4, byte | 0x100)
    assert (host.stops, uart.take(), uart.take()) == (3, b"xyz", b"")


def test_polling_for_input_that_is_not_there_stops_the_machine(host):
    uart = wired(host)
    for _ in range(100):
        uart.read(FR, 4)
        uart.write(DR, 4, 0)
    assert host.stops == 100, "a transmitter that looks before each byte is not waiting"
    for _ in range(8):
        uart.read(FR, 4)
    assert host.stops == 101


@pytest.mark.parametrize(
    "wrong", [{"divider": 0}, {"lines": 0}, {"lines": 2 << 5}, {"control": 0x300}, {"control": 0x201}]
)
def test_a_byte_is_sent_only_by_a_uart_that_is_set_up(host, wrong):
    with pytest.raises(AccessFaultError, match="uart0: a byte is sent while it is not set up"):
        wired(host, **wrong).write(DR, 4, 1)


def test_a_divider_counts_from_the_line_control_that_takes_it_over(host):
    uart = pl011("uart0", Peripheral(model="arm-pl011", base=0, size_bytes=0x1000), host)
    uart.write(LCR_H, 4, 3 << 5)
    uart.write(IBRD, 4, 72)
    uart.write(CR, 4, 0x301)
    with pytest.raises(AccessFaultError, match="not set up"):
        uart.write(DR, 4, 1)
    uart.write(LCR_H, 4, 3 << 5)
    uart.write(DR, 4, 1)
    assert uart.take() == b"\x01"


def test_reception_interrupts(host):
    uart = wired(host)
    assert not uart.can_wake()
    uart.write(IMSC, 4, RXIM)
    assert uart.can_wake() and not uart.wakes()
    uart.feed(b"a")
    assert uart.wakes()
    assert (uart.read(RIS, 4), uart.read(MIS, 4)) == (RXIM | RTIM, RXIM)
    uart.write(ICR, 4, RXIM)
    assert uart.wakes(), "the cause is still there"
    uart.read(DR, 4)
    assert not uart.wakes()
    uart.write(CR, 4, 0)
    assert not uart.can_wake()


@pytest.mark.parametrize(("offset", "size"), [(DR, 1), (0x10, 4), (0xFE0, 4), (CR, 2)])
def test_what_is_beyond_the_model_is_an_error(host, offset, size):
    uart = wired(host)
    for access in (lambda: uart.read(offset, size), lambda: uart.write(offset, size, 0)):
        with pytest.raises(AccessFaultError, match=f"offset {offset:#05x} is beyond the model arm-pl011"):
            access()


def test_flags_that_are_set_while_a_bit_is_clear():
    registers = Registers({0: 0b11}, follows_clear={0: {0: (8, 4), 1: 7}})
    assert (registers.read(8, 4), registers.read(0, 4)) == (0, 0b11)
    registers.write(0, 4, 0)
    assert (registers.read(8, 4), registers.read(0, 4)) == (1 << 4, 1 << 7)
    registers.write(8, 4, 0)
    assert registers.read(8, 4) == 1 << 4, "the flag cannot be written"
