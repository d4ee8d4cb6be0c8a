"""The RP2040's second stage: its checksum, what it tells the flash, and where it goes; then the start-up behind it."""

from __future__ import annotations

import io
import shutil
import struct

import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

from crest.backends.emulated import EmulatedBackend
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.emulators.unicorn_engine import UnicornEngine
from crest.errors import EmulationError
from crest.placement import AUTO, Placement
from crest.pricing import BuildOptions, Conditions, Pricing, Reserve
from crest.report.targets import summarise
from crest.schedule import Continuous
from crest.targets import load_target
from crest.timing.memory_system import load_memory_timing
from crest.timing.model import load_core_timing
from tests.models_small import residual_model

TARGET = load_target("rp2040-pico")
# The boot ROM copies the second stage to the end of RAM and runs it there.
RUNS_AT = TARGET.ram.end - 256
PADS, SSI, PPB = 0x40020000, 0x18000000, 0xE000E000
CTRLR0, CTRLR1, SSIENR, SER, BAUDR, SR, DR0, RX_SAMPLE_DLY, SPI_CTRLR0 = 0, 4, 8, 0x10, 0x14, 0x28, 0x60, 0xF0, 0xF4
QUAD_ENABLE = 2


def build(toolchain):
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    lowered = lower_graph(import_tflite(residual_model(), "small"), TARGET.core)
    return build_program(lowered, TARGET, target_toolchain(toolchain, TARGET))


@pytest.fixture(scope="module", params=["zig", "gcc"])
def program(request):
    return build(request.param)


def sections(program):
    return {section.name: section for section in ELFFile(io.BytesIO(program.elf)).iter_sections()}


def boot_rom_crc(data):
    """CRC-32 as the boot ROM has it: polynomial 0x04C11DB7, start 0xFFFFFFFF, bits not reflected, nothing inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def test_the_checksum_algorithm_gives_its_published_check_value():
    assert boot_rom_crc(b"123456789") == 0x0376E6E7  # CRC-32/MPEG-2


def test_the_second_stage_comes_first_and_carries_its_checksum(program):
    found = sections(program)
    data = found[".boot2"].data()
    assert found[".boot2"]["sh_addr"] == TARGET.flash.base and len(data) == 256
    assert struct.unpack("<I", data[252:])[0] == boot_rom_crc(data[:252])
    assert found[".vectors"]["sh_addr"] == TARGET.flash.base + 256
    stack, reset = struct.unpack("<II", found[".vectors"].data()[:8])
    assert stack == TARGET.ram.end and reset & 1


def test_boards_without_a_second_stage_begin_with_their_vectors():
    target = load_target("nano33ble")
    lowered = lower_graph(import_tflite(residual_model(), "small"), target.core)
    found = sections(build_program(lowered, target, target_toolchain("zig", target)))
    assert ".boot2" not in found
    assert found[".vectors"]["sh_addr"] == target.flash.base + target.reserved_flash_bytes


class Flash:
    """The SSI with a W25Q16JV behind it, as far as commands of whole bytes go."""

    def __init__(self, quad_enabled):
        self.status2 = QUAD_ENABLE if quad_enabled else 0
        self.busy = 0
        self.write_enabled = False
        self.registers = {SPI_CTRLR0: 0x03000000}
        self.sent, self.received = [], []
        self.commands = []

    def read(self, offset):
        if offset == SR:
            self._finish()
            return 0x4  # queue empty, not busy
        if offset == DR0:
            self._finish()
            return self.received.pop(0)
        return self.registers.get(offset, 0)

    def write(self, offset, value):
        if offset == DR0:
            assert self.registers[SSIENR] == 1, "nothing is sent while the SSI is off"
            self.sent.append(value)
            return
        assert offset == SSIENR or not self.registers.get(SSIENR), "the SSI is set up only while it is off"
        if offset == SSIENR and value == 0:
            self.received.clear()
        self.registers[offset] = value

    def _finish(self):
        """The chip select goes up: what was sent is one command."""
        if not self.sent:
            return
        command, self.sent = self.sent, []
        self.commands.append((self.registers[CTRLR0], self.registers[SPI_CTRLR0], command))
        answer = [0] * len(command)
        if command[0] == 0x35:
            answer[1] = self.status2
        elif command[0] == 0x05:
            self.busy = max(self.busy - 1, 0)
            answer[1] = int(self.busy > 0)
        elif command[0] == 0x06:
            self.write_enabled = True
        elif command[0] == 0x31:
            assert self.write_enabled and command[1] == QUAD_ENABLE
            self.status2, self.busy, self.write_enabled = command[1], 3, False
        self.received += answer


def run_second_stage(program, flash):
    """Run it as the boot ROM does; returns (reset address, stack pointer, VTOR, pads)."""
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm_const.UC_CPU_ARM_CORTEX_M0)
    for region in TARGET.regions:
        uc.mem_map(region.base, region.size_bytes)
    for segment in ELFFile(io.BytesIO(program.elf)).iter_segments():
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
            uc.mem_write(segment["p_paddr"], segment.data())
    uc.mem_write(RUNS_AT, bytes(uc.mem_read(TARGET.flash.base, 256)))
    pads = dict.fromkeys(range(4, 0x1C, 4), 0x56)
    core = {}
    for base, read, write in (
        (PADS, pads.__getitem__, pads.__setitem__),
        (SSI, flash.read, flash.write),
        (PPB, core.__getitem__, core.__setitem__),
    ):
        uc.mmio_map(
            base,
            0x1000,
            lambda _uc, offset, _size, read: read(offset),
            read,
            lambda _uc, offset, _size, value, write: write(offset, value),
            write,
        )
    uc.reg_write(arm_const.UC_ARM_REG_SP, RUNS_AT)
    uc.reg_write(arm_const.UC_ARM_REG_LR, 0)
    stack, reset = struct.unpack("<II", uc.mem_read(TARGET.flash.base + 256, 8))
    uc.emu_start(RUNS_AT | 1, reset & ~1, count=10_000)
    assert uc.reg_read(arm_const.UC_ARM_REG_PC) == reset & ~1
    assert uc.reg_read(arm_const.UC_ARM_REG_SP) == stack
    return core[0xD08], pads


@pytest.mark.parametrize("quad_enabled", [True, False])
def test_the_second_stage_sets_the_flash_up_and_goes_to_the_vectors(program, quad_enabled):
    flash = Flash(quad_enabled)
    vtor, pads = run_second_stage(program, flash)
    assert vtor == TARGET.flash.base + 256
    assert flash.status2 == QUAD_ENABLE and flash.busy == 0
    one_line = 7 << 16
    commands = [command for frames, _, command in flash.commands if frames == one_line]
    written = [] if quad_enabled else [[0x06], [0x31, 2], [5, 5], [5, 5], [5, 5]]
    assert commands == [[0x35, 0x35], *written]
    four_lines = 2 << 21 | 31 << 16 | 3 << 8  # 32 bits, receive behind what is sent
    with_command = 4 << 11 | 2 << 8 | 8 << 2 | 1
    assert flash.commands[-1] == (four_lines, with_command, [0xEB, 0xA0])
    assert flash.registers[SPI_CTRLR0] == 0xA0 << 24 | 4 << 11 | 8 << 2 | 2
    assert (flash.registers[CTRLR0], flash.registers[CTRLR1], flash.registers[SSIENR]) == (four_lines, 0, 1)
    assert (flash.registers[BAUDR], flash.registers[RX_SAMPLE_DLY], flash.registers[SER]) == (2, 1, 1)
    assert pads == {4: 0x21, **dict.fromkeys(range(8, 0x18, 4), 0x54), 0x18: 0x56}


def test_a_network_computes_on_the_board(program):
    record = EmulatedBackend().run(program)
    assert record.golden_pairs_checked == len(program.golden)
    assert record.profile.core == "cortex-m0plus"


# Eight nibbles of address and mode, four clocks of waiting, a line of eight bytes on four data lines; two clocks each.
MISS_CYCLES = (8 + 4 + 16) * 2
MISSES = ("fetch_misses_sequential", "fetch_misses_branch", "flash_load_misses")


def test_the_cycles_of_a_miss_are_those_of_the_second_stage():
    memory = load_memory_timing(TARGET)
    assert {term.count: term.cycles for term in memory.terms} == dict.fromkeys(MISSES, MISS_CYCLES)
    assert all(term.low == (8 + 4 + 8) * 2 for term in memory.terms)
    assert all(term.origin == "document" for term in memory.terms)
    assert summarise(TARGET).cycle_model.quality == "declared"


@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "placement", "factor"),
    [
        ("kws_ref_model", Placement(), 1.01),
        ("ad01_int8", Placement(), 2.39),
        ("kws_ref_model", Placement(code=AUTO, weights=AUTO), 1.0),
        ("ad01_int8", Placement(code=AUTO, weights=AUTO), 1.09),
    ],
)
def test_the_stall_factor_covers_what_the_counted_misses_of_the_xip_cache_cost(data_folder, model, placement, factor):
    path = data_folder / "silicon" / "models" / f"{model}.tflite"
    if not path.exists():
        pytest.skip(f"no {path}")
    conditions = Conditions(TARGET, Continuous(), Reserve(), max(TARGET.clock_mhz))
    pricing = Pricing(conditions, EmulatedBackend(), BuildOptions(placement=placement))
    execution = pricing.run(pricing.build(import_tflite(path.read_bytes(), model)))
    counts = execution.profile.total()
    misses = sum(counts[name] for name in MISSES)
    counted = 1 + MISS_CYCLES * misses / load_core_timing(TARGET.core).cycles(counts)
    stalls = {"flash": TARGET.fetch_stall_factor, **TARGET.fetch_stall_factor_in}[execution.code_region]
    assert counted == pytest.approx(factor, abs=0.03)
    assert stalls.low <= counted < stalls.high


@pytest.mark.parametrize(
    ("name", "rule", "offset"),
    [("xosc", "follows", 0x00), ("pll_sys", "follows_clear", 0x04), ("clocks", "follows", 0x3C),
     ("clocks", "follows", 0x30), ("resets", "follows_clear", 0x00)],
)  # fmt: skip
def test_the_start_up_waits_for_every_ready_bit(name, rule, offset):
    peripheral = TARGET.peripherals[name]
    kept = {at: bits for at, bits in getattr(peripheral, rule).items() if at != offset}
    dead = peripheral.model_copy(update={rule: kept})
    broken = TARGET.model_copy(update={"peripherals": {**TARGET.peripherals, name: dead}})
    machine = UnicornEngine(100_000).boot(build("zig").elf, broken)
    with pytest.raises(EmulationError, match=r"an endless loop\?"):
        machine.receive()
    machine.close()
