"""What the start-up code of the STM32 boards leaves in the chip: its clock tree, read back as the manuals describe it.

The decoding is written from the reference manuals and shares nothing with the firmware.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from crest.backends.emulated import MachineTransport
from crest.backends.session import open_session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators.unicorn_engine import UnicornEngine
from crest.targets import load_target, target_names
from tests.models_small import dense_model

BAUD = 115200


@dataclass(frozen=True)
class Clocks:
    """In MHz; ``pll``: its phase comparator and its oscillator, each with its limits; nothing while it is off."""

    core: float
    usart: float
    pll: tuple[tuple[float, tuple[float, float]], ...] = ()


def ahb(code: int) -> int:
    """Divider of an AHB prescaler field."""
    return (2, 4, 8, 16, 64, 128, 256, 512)[code - 8] if code >= 8 else 1


def apb(code: int) -> int:
    """Divider of an APB prescaler field."""
    return 2 << code - 4 if code >= 4 else 1


def clocks_f4_f7(read, crystal: float, bus: int) -> Clocks:
    """RM0390 and RM0385: RCC at 0x40023800."""
    pll, cfgr = read(0x40023804), read(0x40023808)
    assert cfgr >> 2 & 3 == 2 and pll >> 22 & 1 == 1, "runs from the PLL, and the PLL from HSE"
    comparator = crystal / (pll & 0x3F)
    oscillator = comparator * (pll >> 6 & 0x1FF)
    core = oscillator / (2, 4, 6, 8)[pll >> 16 & 3] / ahb(cfgr >> 4 & 15)
    assert oscillator / (pll >> 24 & 15) <= 48, "output Q"
    assert read(0x40007004) >> 16 & 3 == (3 if core > 168 else 0), "over-drive"
    assert read(0x40007000) >> 14 & 3 == (3 if core > 144 else 1), "voltage scale 1 for the top clocks, 3 below"
    apb1, apb2 = core / apb(cfgr >> 10 & 7), core / apb(cfgr >> 13 & 7)
    assert apb1 <= core / 4 and apb2 <= core / 2, "limits of the peripheral buses at the top clock"
    return Clocks(core, {1: apb1, 2: apb2}[bus], ((comparator, (0.95, 2.1)), (oscillator, (100, 432))))


def clocks_l4plus(read, internal: float, _bus: int) -> Clocks:
    """RM0432: RCC at 0x40021000."""
    pll, cfgr = read(0x4002100C), read(0x40021008)
    source, pll_on = cfgr >> 2 & 3, read(0x40021000) >> 24 & 1
    assert source == (3 if pll_on else 1), "runs from the PLL, or from HSI16 with the PLL off"
    system, states = internal, ()
    if pll_on:
        assert pll & 3 == 2 and pll >> 24 & 1, "output R of the PLL, which runs from HSI16"
        comparator = internal / ((pll >> 4 & 15) + 1)
        oscillator = comparator * (pll >> 8 & 0x7F)
        system, states = oscillator / (2 * ((pll >> 25 & 3) + 1)), ((comparator, (2.66, 8)), (oscillator, (64, 344)))
    core = system / ahb(cfgr >> 4 & 15)
    assert bool(read(0x40007080) >> 8 & 1) == (core <= 80) and read(0x40007000) >> 9 & 3 == 1, "range 1, boost"
    assert read(0x40007004) >> 9 & 1, "VDDIO2 for port G"
    return Clocks(core, core / apb(cfgr >> 8 & 7), states)


def clocks_g0(read, internal: float, _bus: int) -> Clocks:
    """RM0444: RCC at 0x40021000."""
    pll, cfgr = read(0x4002100C), read(0x40021008)
    control = read(0x40021000)
    source, pll_on = cfgr >> 3 & 7, control >> 24 & 1
    assert source == (2 if pll_on else 0), "runs from the PLL, or from HSI16 with the PLL off"
    system, states = internal / (1 << (control >> 11 & 7)), ()
    if pll_on:
        assert pll & 3 == 2 and pll >> 28 & 1, "output R of the PLL, which runs from HSI16"
        comparator = internal / ((pll >> 4 & 7) + 1)
        oscillator = comparator * (pll >> 8 & 0x7F)
        system, states = oscillator / ((pll >> 29 & 7) + 1), ((comparator, (2.66, 16)), (oscillator, (64, 344)))
    core = system / ahb(cfgr >> 8 & 15)
    return Clocks(core, core / apb(cfgr >> 12 & 7), states)


def clocks_h7(read, external: float, bus: int) -> Clocks:
    """RM0399 and RM0455: RCC at 0x58024400."""
    control, source = read(0x58024400), read(0x58024410) >> 3 & 7
    pll_on = control >> 24 & 1
    assert source == (3 if pll_on else 0), "runs from PLL1, or from HSI with PLL1 off"
    system, states = 64 / (1 << (control >> 3 & 3)), ()
    if pll_on:
        select, config, dividers = read(0x58024428), read(0x5802442C), read(0x58024430)
        assert select & 3 == 2 and not config & 0b11 and config >> 16 & 1, "HSE; no fraction, wide oscillator, output P"
        comparator = external / (select >> 4 & 0x3F)
        oscillator = comparator * ((dividers & 0x1FF) + 1)
        ranges = ((1, 2), (2, 4), (4, 8), (8, 16))
        system = oscillator / ((dividers >> 9 & 0x7F) + 1)
        states = ((comparator, ranges[config >> 2 & 3]), (oscillator, (192, 960)))
    domain1, domain2 = read(0x58024418), read(0x5802441C)
    core = system / ahb(domain1 >> 8 & 15)
    buses = core / ahb(domain1 & 15)
    usart = buses / apb(domain2 >> (4 if bus == 1 else 8) & 7)
    assert usart <= core / 2 and read(0x58024818) >> 14 & 3 == 3, "limit of the peripheral buses; top voltage"
    return Clocks(core, usart, states)


def clocks_h747(read, external: float, bus: int) -> Clocks:
    """RM0399: voltage scale 0 is scale 1 with the over-drive of SYSCFG."""
    clocks = clocks_h7(read, external, bus)
    assert read(0x5800042C) & 1 == (clocks.core > 400), "over-drive"
    return clocks


# Decoder, oscillator in MHz, bus of the USART, FLASH_ACR.
BOARDS = {
    "nucleo-g0b1re": (clocks_g0, 16, 1, 0x40022000),
    "nucleo-f446re": (clocks_f4_f7, 8, 1, 0x40023C00),
    "nucleo-l4r5zi": (clocks_l4plus, 16, 1, 0x40022000),
    "disco-f746ng": (clocks_f4_f7, 25, 2, 0x40023C00),
    "nucleo-h7a3zi": (clocks_h7, 8, 1, 0x52002000),
    "portenta-h7": (clocks_h747, 25, 2, 0x52002000),
}
DIVIDERS = {"stm32f4-usart": (0x08, 1), "stm32f7-usart": (0x0C, 1), "stm32-lpuart": (0x0C, 256)}


@pytest.mark.parametrize(("name", "clock_mhz"), [(name, mhz) for name in BOARDS for mhz in load_target(name).clock_mhz])
def test_the_clock_tree_gives_the_stated_clock_and_the_baud_rate(name, clock_mhz):
    decode, oscillator, bus, flash = BOARDS[name]
    target = load_target(name).at(clock_mhz)
    lowered = lower_graph(import_tflite(dense_model(), "small"), target.core)
    program = build_program(lowered, target, target_toolchain("zig", target))
    machine = UnicornEngine().boot(program.elf, target)
    assert machine.receive() == b""  # it waits for the host
    clocks = decode(lambda address: machine._bus.read(address, 4), oscillator, bus)
    assert clocks.core == clock_mhz
    for value, (low, high) in clocks.pll:
        assert low <= value <= high
    assert machine._bus.read(flash, 4) & 15 == target.flash_wait_states(clock_mhz)
    uart = target.peripherals[target.uart]
    offset, scale = DIVIDERS[uart.model]
    divider = machine._bus.read(uart.base + offset, 4)
    assert clocks.usart * 1e6 * scale / divider == pytest.approx(BAUD, rel=0.002)
    assert open_session(MachineTransport(machine), program).hello().clock_hz == clock_mhz * 1e6
    machine.close()


def test_every_stm32_board_is_looked_at():
    assert {name for name in target_names() if load_target(name).mcu.startswith("STM32")} == set(BOARDS)
