"""Register models of the STM32 targets: USARTs of both generations, and ready flags that follow."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from crest.emulators import devices
from crest.emulators.devices import AccessFaultError, Registers, Uart
from crest.emulators.stm32_usart import STM32_USARTS
from crest.errors import EmulationError
from crest.targets import Peripheral
from tests.emulators.firmware import TARGET, c

RXNE, TC, TXE = 1 << 5, 1 << 6, 1 << 7
RE, TE, RXNEIE = 1 << 2, 1 << 3, 1 << 5
TEACK, REACK = 1 << 21, 1 << 22
# Written down again from the manuals: control, divider, status, receive, transmit, UE, least divider.
F4 = ("stm32f4-usart", 0x0C, 0x08, 0x00, 0x04, 0x04, 1 << 13, 16)
F7 = ("stm32f7-usart", 0x00, 0x0C, 0x1C, 0x24, 0x28, 1, 16)
LP = ("stm32-lpuart", 0x00, 0x0C, 0x1C, 0x24, 0x28, 1, 0x300)
ALL = pytest.mark.parametrize("layout", [F4, F7, LP], ids=lambda layout: layout[0])


class Host:
    """Counts how often a device hands control back."""

    def __init__(self):
        self.stops = 0

    def stop(self):
        self.stops += 1


class Wired:
    """A USART by the names of its registers."""

    def __init__(self, layout, *, divider=0x1000, control=RE | TE):
        model, self.control, self.baud, self.status, self.receive, self.transmit, self.enable, _ = layout
        self.host = Host()
        self.device = STM32_USARTS[model]("usart", Peripheral(model=model, base=0, size_bytes=0x400), self.host)
        if divider is not None:
            self.write(self.baud, divider)
        self.write(self.control, control | self.enable)

    def read(self, offset, size=4):
        return self.device.read(offset, size)

    def write(self, offset, value, size=4):
        self.device.write(offset, size, value)


@ALL
def test_bytes_go_both_ways(layout):
    usart = Wired(layout)
    assert isinstance(usart.device, Uart)
    assert usart.read(usart.status) & (RXNE | TC | TXE) == TC | TXE
    usart.device.feed(b"ab")
    assert usart.read(usart.status) & RXNE
    assert usart.read(usart.receive) == ord("a")
    assert usart.read(usart.status) & RXNE
    assert usart.read(usart.receive, 1) == ord("b")
    assert not usart.read(usart.status) & RXNE
    assert usart.read(usart.receive) == ord("b")  # the register keeps the last byte
    for byte in b"xyz":
        usart.write(usart.transmit, byte | 0x100)
    assert (usart.host.stops, usart.device.take(), usart.device.take()) == (3, b"xyz", b"")


@ALL
def test_what_comes_before_the_firmware_listens_waits_and_never_overruns(layout):
    usart = Wired(layout, control=0)
    usart.device.feed(bytes(range(200)))
    assert not usart.read(usart.status) & RXNE
    usart.write(usart.control, usart.enable | RE)
    received = []
    while usart.read(usart.status) & RXNE:
        assert not usart.read(usart.status) & 0xF  # ORE, NF, FE, PE
        received.append(usart.read(usart.receive))
    assert received == list(range(200))


@ALL
def test_polling_for_input_hands_control_back_and_polling_for_the_transmitter_does_not(layout):
    usart = Wired(layout)
    for _ in range(50):
        assert usart.read(usart.status) & TXE
        usart.write(usart.transmit, 0x55)
        assert usart.read(usart.status) & TC
    assert usart.host.stops == 50
    for _ in range(100):
        usart.read(usart.status)
    assert usart.host.stops > 50
    idle = Wired(layout, control=TE)  # nobody listens
    for _ in range(100):
        idle.read(idle.status)
    assert idle.host.stops == 0


@ALL
@pytest.mark.parametrize("missing", ["divider", "small divider", "transmitter", "usart"])
def test_sending_before_it_is_set_up_is_an_error(layout, missing):
    divider = {"divider": None, "small divider": layout[-1] - 1}.get(missing, layout[-1])
    usart = Wired(layout, divider=divider, control=RE if missing == "transmitter" else RE | TE)
    if missing == "usart":
        usart.write(usart.control, RE | TE)
    with pytest.raises(AccessFaultError, match="not set up"):
        usart.write(usart.transmit, 1)
    assert usart.device.take() == b""


@ALL
def test_nothing_is_received_without_a_bit_clock(layout):
    usart = Wired(layout, divider=None)
    usart.device.feed(b"a")
    assert not usart.read(usart.status) & RXNE
    assert usart.read(usart.receive) == 0
    assert not usart.device.can_wake()


@ALL
def test_only_the_enabled_receive_interrupt_wakes(layout):
    usart = Wired(layout)
    usart.device.feed(b"a")
    assert not usart.device.wakes() and not usart.device.can_wake()
    usart.write(usart.control, usart.enable | RE | RXNEIE)
    assert usart.device.wakes() and usart.device.can_wake()
    usart.read(usart.receive)
    assert not usart.device.wakes() and usart.device.can_wake()


@pytest.mark.parametrize("layout", [F7, LP], ids=["usart", "lpuart"])
def test_later_ones_acknowledge_and_lock_their_divider(layout):
    usart = Wired(layout)
    assert usart.read(usart.status) & (TEACK | REACK) == TEACK | REACK
    with pytest.raises(AccessFaultError, match="while UE is set"):
        usart.write(usart.baud, 0x2000)
    usart.write(usart.control, TE)
    assert not usart.read(usart.status) & (TEACK | REACK)
    usart.write(usart.baud, 0x2000)
    assert usart.read(usart.baud) == 0x2000
    usart.write(0x20, 0xFFFF)  # ICR: clears flags, holds nothing
    assert usart.read(0x20) == 0


def test_the_first_generation_takes_a_divider_at_any_time():
    usart = Wired(F4)
    usart.write(usart.baud, 0x187)
    assert usart.read(usart.baud) == 0x187


@ALL
@pytest.mark.parametrize(("offset", "size"), [(0x40, 4), (0x3FC, 4), (0x0C, 1), (0x0E, 4)])
def test_beyond_the_model_is_an_error(layout, offset, size):
    usart = Wired(layout)
    with pytest.raises(AccessFaultError, match="beyond the model"):
        usart.read(offset, size)
    with pytest.raises(AccessFaultError, match="beyond the model"):
        usart.write(offset, 0, size)


SLEEPER = """
int main(void) {
  __asm__ volatile("cpsid i");
  REG(BASE + BAUD) = 0x1000;
  REG(BASE + CONTROL) = UE | 1 << 3 | 1 << 2 | INTERRUPT;
  for (;;) {
    __asm__ volatile("wfi" ::: "memory");
    REG(BASE + TRANSMIT) = REG(BASE + STATUS) & 1 << 5 ? REG(BASE + RECEIVE) ^ 0x20 : '!';
  }
}
"""


def sleeper(layout, interrupt):
    model, control, baud, status, receive, transmit, enable, _ = layout
    usart = Peripheral(model=model, base=0x40004400, size_bytes=0x400)
    target = TARGET.model_copy(update={"uart": "usart", "peripherals": {**TARGET.peripherals, "usart": usart}})
    names = {"BASE": usart.base, "CONTROL": control, "BAUD": baud, "STATUS": status, "RECEIVE": receive}
    names |= {"TRANSMIT": transmit, "UE": enable, "INTERRUPT": interrupt}
    return c(SLEEPER, flags=tuple(f"-D{name}={value:#x}" for name, value in names.items())), target


@ALL
def test_a_core_asleep_is_woken_by_what_it_receives(boot, layout):
    machine = boot(*sleeper(layout, RXNEIE))
    assert machine.receive() == machine.receive() == b""
    machine.send(b"ab")
    assert (machine.receive(), machine.receive(), machine.receive()) == (b"A", b"B", b"")


@ALL
def test_sleeping_without_the_receive_interrupt_is_for_ever(boot, layout):
    with pytest.raises(EmulationError, match="nothing that could wake"):
        boot(*sleeper(layout, 0)).receive()


def test_ready_flags_follow_their_enable_bits():
    registers = Registers({0x00: 0x83}, {0x00: {0: 1, 24: 25, 16: (0x04, 3)}, 0x08: {0: 2, 1: 3}})
    assert registers.read(0x00, 4) == 0x83
    registers.write(0x00, 4, 1 << 24 | 1 << 16)
    assert registers.read(0x00, 4) == 1 << 25 | 1 << 24 | 1 << 16 | 0x00  # HSION is off, and so is HSIRDY
    assert registers.read(0x03, 1) == 0b11
    assert registers.read(0x04, 4) == 1 << 3
    registers.write(0x08, 4, 0b0010)
    assert registers.read(0x08, 4) == 0b1010
    registers.write(0x08, 4, 0b0001 | 0b1000)  # a flag cannot be written
    assert registers.read(0x08, 4) == 0b0101
    registers.write(0x00, 4, 0)
    assert (registers.read(0x00, 4), registers.read(0x04, 4)) == (0, 0)


def test_waiting_for_a_flag_that_nothing_sets_is_an_endless_loop(boot, monkeypatch):
    monkeypatch.setattr(devices, "_REPEATS_MAX", 1000)
    patient = boot(
        c("""
int main(void) {
  for (int n = 0; n < 900; n++) if (REG(0x50000504)) break;
  for (int n = 0; n < 2000; n++) if (REG(0x50000504) || REG(0x50000508)) break;
  return 0;
}
""")
    )
    assert patient.receive() == b""
    message = r"(main|Reset_Handler)[+\w]*\).*gpio: the register at offset 0x504 was read 1,000 times.*endless loop"
    with pytest.raises(EmulationError, match=message):
        boot(c("int main(void) { while (!REG(0x50000504)) {} return 0; }")).receive()


@pytest.mark.parametrize("follows", [{0: {32: 1}}, {0: {1: 32}}, {2: {0: 1}}, {0: {0: (1, 1)}}, {0: {0: (4, 32)}}])
def test_ready_flags_that_cannot_be_are_refused(follows):
    with pytest.raises(ValidationError):
        Peripheral(model="registers", base=0, size_bytes=0x400, follows=follows)
