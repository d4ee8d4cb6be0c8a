"""The machine inside the fake Renode: Unicorn, with Renode's UARTE, hooks, opcode counters and binary trace."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

MODELS = {
    "cortex-m0+": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
}
DEVICE = re.compile(r"^(\w+): (\S+) @ sysbus ?<?(0x[0-9a-f]+)?.*\n((?:    .*\n)*)", re.MULTILINE)
# Offsets of status, receive and transmit register, and of the one whose bit 2 enables the receiver.
LAYOUTS = {
    "UART.STM32_UART": (0x00, 0x04, 0x04, 0x0C),
    "UART.STM32F7_USART": (0x1C, 0x24, 0x28, 0x00),
    "UART.PL011": (0x18, 0x00, 0x00, 0x30),
}
ENDRX, STARTRX, STARTTX = 0x110, 0x000, 0x008
PAGE = 0x1000


class Uarte:
    """Renode's NRF52840_UART with easyDMA: a byte that comes before the receiver was started is lost."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.registers: dict[int, int] = {}
        self.queue: deque[int] = deque()
        self.started = False
        self.pointer = self.amount = 0
        self.backend: io.RawIOBase | None = None

    def write_char(self, value: int) -> None:
        self.queue.append(value)
        self.arrived()

    def arrived(self) -> None:
        if not self.started:
            self.queue.popleft()
            self.cpu.log("WARNING", "board_uarte0: Received a character, but the receiver is disabled.")
        elif not self.registers.get(ENDRX):
            self.cpu.uc.mem_write(self.pointer, bytes([self.queue.popleft()]))
            self.pointer += 1
            self.amount += 1
            if self.amount == self.registers.get(0x538, 0):
                self.registers[ENDRX] = 1

    def read(self, offset: int) -> int:
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        if offset == STARTRX and value:
            self.started, self.amount, self.pointer = True, 0, self.registers.get(0x534, 0)
            if self.queue:
                self.arrived()
        if offset == STARTTX and value:
            self.registers[0x120] = 1
            data = self.cpu.uc.mem_read(self.registers[0x544], self.registers[0x548])
            self.backend.write(bytes(data))


class Usart:
    """STM32's USARTs and Arm's PL011: always ready to send; what comes before the receiver is enabled is lost."""

    def __init__(self, cpu: Cpu, kind: str) -> None:
        self.status, self.receive, self.transmit, self.enable = LAYOUTS[kind]
        self.is_pl011 = kind == "UART.PL011"
        self.registers: dict[int, int] = {}
        self.queue: deque[int] = deque()
        self.backend: io.RawIOBase | None = None

    def write_char(self, value: int) -> None:
        if self.registers.get(self.enable, 0) & 4 or self.is_pl011:
            self.queue.append(value)

    def read(self, offset: int) -> int:
        if offset == self.status:
            return (0x80 if self.queue else 0x90) if self.is_pl011 else 0xC0 | (0x20 if self.queue else 0) | 0x600000
        if offset == self.receive and self.queue:
            return self.queue.popleft()
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        if offset == self.transmit:
            self.backend.write(bytes([value & 0xFF]))


class Script:
    """Renode's PythonPeripheral; what a request is called differs between versions."""

    def __init__(self, text: str, capitals: bool) -> None:
        self.text = text
        self.capitals = capitals
        self.scope: dict[str, object] = {}
        self.request(isInit=True, isRead=False)

    def request(self, **fields) -> int:
        fields = {"offset": 0, "length": 4, "value": 0, "isInit": False, **fields}
        named = {key[0].upper() + key[1:] if self.capitals else key: value for key, value in fields.items()}
        self.scope["request"] = SimpleNamespace(**named)
        exec(self.text, self.scope)
        return getattr(self.scope["request"], "Value" if self.capitals else "value")

    def read(self, offset: int, size: int = 4) -> int:
        return self.request(offset=offset, length=size, isRead=True)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        self.request(offset=offset, length=size, value=value, isRead=False)


class Cpu:
    """One core with its memories; ``start`` runs it in a thread."""

    def __init__(self, repl: str, log) -> None:
        self.log = log
        entries = {name: (kind, place, text) for name, kind, place, text in DEVICE.findall(repl)}
        model = MODELS[re.search(r'cpuType: "([^"]+)"', entries["cpu"][2]).group(1)]
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, model)
        self.devices: dict[str, Uarte | Usart | Script] = {}
        self.bases: dict[str, int] = {}
        self.hooks: dict[int, str] = {}
        self.watches: dict[int, str] = {}
        self.patterns: list[tuple[str, int, int]] = []
        self.counters: dict[str, int] = {}
        self.ExecutedInstructions = 0
        self.vectors = 0
        self.paused = True
        self.hooked = False
        self.conditional: deque[int] = deque()
        self.pattern_of: dict[int, str] = {}
        self.trace: io.BufferedWriter | None = None
        self.access = b""
        self.pc: int | None = None
        self.thread: threading.Thread | None = None
        self.uc.mem_map(0xE0000000, 1 << 20)
        for name, (kind, place, text) in entries.items():
            size = re.search(r"size: (0x[0-9a-f]+)", text)
            if kind.startswith("Memory."):
                begin, end = int(place, 16), int(place, 16) + int(size.group(1), 16)
                for page in range(begin & -PAGE, end, PAGE) if end - begin < PAGE else (begin,):
                    with contextlib.suppress(unicorn.UcError):  # the page of another one
                        self.uc.mem_map(page, max(PAGE, end - begin))
            elif kind == "UART.NRF52840_UART":
                self.devices[name] = Uarte(self)
            elif kind in LAYOUTS:
                self.devices[name] = Usart(self, kind)
            elif kind == "Python.PythonPeripheral":
                script = Path(re.search(r'filename: "([^"]+)"', text).group(1)).read_text()
                self.devices[name] = Script(script, capitals=len(self.devices) % 2 == 0)
            if name in self.devices:
                self.bases[name] = int(place, 16)
        for page in {base & -PAGE for base in self.bases.values()}:
            with contextlib.suppress(unicorn.UcError):
                self.uc.mem_unmap(page, PAGE)
            self.uc.mmio_map(page, PAGE, self.on_read, page, self.on_write, page)
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self.on_code)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self.on_interrupt)
        kinds = unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED
        self.uc.hook_add(kinds, self.on_nowhere)
        self.machine = SimpleNamespace(PauseAndRequestEmulationPause=self.request_pause)

    # What hooks written for Renode use.

    def GetRegister(self, number: int) -> SimpleNamespace:
        names = [f"R{i}" for i in range(13)] + ["SP", "LR", "PC"]
        return SimpleNamespace(RawValue=self.uc.reg_read(getattr(arm_const, f"UC_ARM_REG_{names[number]}")))

    def GetOpcodeCounter(self, name: str) -> int:
        return self.counters[name]

    def request_pause(self, precise: bool) -> None:
        assert precise is True
        self.paused = True

    # What the monitor asks.

    def device(self, name: str) -> Uarte:
        return self.devices[name]

    def load(self, elf: bytes) -> None:
        for segment in ELFFile(io.BytesIO(elf)).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                self.uc.mem_write(segment["p_paddr"], segment.data())

    def at(self, address: int):
        """The device at an address, and the offset in it."""
        near = [(base, name) for name, base in self.bases.items() if base <= address < (base & -PAGE) + PAGE]
        base, name = max(near, default=(0, ""))
        return (self.devices[name], address - base) if name else (None, 0)

    def read(self, address: int, size: int) -> int:
        device, offset = self.at(address)
        return device.read(offset) if device else int.from_bytes(self.uc.mem_read(address, size), "little")

    def write(self, address: int, size: int, value: int) -> None:
        self.uc.mem_write(address, value.to_bytes(size, "little"))

    def install(self, name: str, pattern: str) -> None:
        mask = int(pattern.replace("0", "1").replace("*", "0"), 2)
        self.patterns.append((name, mask, int(pattern.replace("*", "0"), 2)))
        self.counters[name] = 0

    def begin_trace(self, path: Path) -> None:
        self.trace = path.open("xb")
        self.trace.write(b"ReTrace\x04\x04\x00")
        self.traced: int | None = None
        self.tracking = 0

    def track_accesses(self) -> None:
        self.tracking = self.uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self.on_access)
        self.uc.ctl_flush_tb()  # whether an access calls a hook is decided when it is translated

    def end_trace(self) -> None:
        self.flush()
        self.trace.close()
        self.trace = None
        if self.tracking:
            self.uc.hook_del(self.tracking)

    def flush(self) -> None:
        if self.trace and self.traced is not None:
            self.trace.write(struct.pack("<I", self.traced) + self.access + b"\0")
            self.traced, self.access = None, b""

    def start(self) -> None:
        if self.pc is None:
            stack, self.pc = struct.unpack("<II", self.uc.mem_read(self.vectors, 8))
            self.uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
            self.uc.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
            self.log("INFO", f"cpu: Setting initial values: PC = 0x{self.pc:X}, SP = 0x{stack:X}.")
        if self.thread:
            self.thread.join()
        self.paused = False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def pause(self) -> None:
        self.paused = True
        if self.thread:
            self.thread.join()

    def loop(self) -> None:
        resumed = self.uc.reg_read(arm_const.UC_ARM_REG_PC) if self.hooked else None
        self.hooked_at = resumed
        try:
            self.uc.emu_start(self.pc | 1, 0xFFFFFFFE)
        except unicorn.UcError as exc:
            self.log("ERROR", f"cpu: CPU abort: {exc}")
            self.paused = True
        self.pc = self.uc.reg_read(arm_const.UC_ARM_REG_PC)
        while not self.paused:  # asleep: Unicorn returns from WFI
            time.sleep(0.01)

    # Callbacks from Unicorn.

    def on_code(self, uc, address: int, size: int, _data) -> None:
        inside = self.skip(address)  # an IT block cannot be resumed in its middle
        if self.paused and not inside and address != getattr(self, "hooked_at", None):
            uc.emu_stop()
            return
        if address in self.hooks and address != getattr(self, "hooked_at", None):
            exec(self.hooks[address], {"cpu": self, "self": self, "machine": self.machine})
            if self.paused:
                self.hooked, self.hooked_at = True, address
                uc.emu_stop()
                return
        self.hooked, self.hooked_at = False, None
        self.execute(address)
        self.count(address)

    def skip(self, address: int) -> bool:
        """Unicorn does not report what an IT block skips; Renode counts and traces it, but not by opcode.

        Returns whether the instruction at hand is in an IT block.
        """
        while self.conditional:
            passed = self.conditional.popleft()
            if passed == address:
                return True
            self.execute(passed)
        return False

    def execute(self, address: int) -> None:
        self.ExecutedInstructions += 1
        if self.trace:
            self.flush()
            self.traced = address

    def count(self, address: int) -> None:
        half = self.half(address)
        if half & 0xFF00 == 0xBF00 and half & 15:
            behind = address + 2
            for _ in range(4 - ((half & -half).bit_length() - 1)):
                self.conditional.append(behind)
                behind += 4 if self.half(behind) >= 0xE800 else 2
        if half not in self.pattern_of:
            self.pattern_of[half] = next((name for name, mask, want in self.patterns if half & mask == want), "")
        if name := self.pattern_of[half]:
            self.counters[name] += 1

    def half(self, address: int) -> int:
        return int.from_bytes(self.uc.mem_read(address, 2), "little")

    def on_access(self, uc, kind: int, address: int, _size: int, value: int, _data) -> None:
        uc.reg_write(arm_const.UC_ARM_REG_EPSR, 1 << 24)  # as the native hook does, and for its reason
        if self.trace and self.traced is not None:
            operation = 3 if kind == unicorn.UC_MEM_WRITE else 2
            self.access += struct.pack(">BBQQQ", 1, operation, address, address, value & 0xFFFFFFFFFFFFFFFF)

    def on_read(self, _uc, offset: int, size: int, page: int) -> int:
        if code := self.watches.get(page + offset):
            exec(code, {"self": SimpleNamespace(Machine=self.machine), "cpu": self, "address": page + offset})
        device, offset = self.at(page + offset)
        return device.read(offset, size) if isinstance(device, Script) else device.read(offset) if device else 0

    def on_write(self, _uc, offset: int, size: int, value: int, page: int) -> None:
        device, offset = self.at(page + offset)
        if isinstance(device, Script):
            device.write(offset, value, size)
        elif device:
            device.write(offset, value)

    def on_interrupt(self, uc, number: int, _data) -> None:
        """A fault: the frame is stacked, and the handler of HardFault runs."""
        sp = uc.reg_read(arm_const.UC_ARM_REG_SP) - 32
        pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
        uc.mem_write(sp + 24, struct.pack("<I", pc))
        uc.reg_write(arm_const.UC_ARM_REG_SP, sp)
        handler = struct.unpack("<I", uc.mem_read(self.vectors + 12, 4))[0]
        uc.reg_write(arm_const.UC_ARM_REG_PC, handler | 1)

    def on_nowhere(self, uc, kind: int, address: int, size: int, _value: int, _data) -> bool:
        """Renode warns, reads 0, and goes on."""
        verb, way = ("Read", "from") if kind == unicorn.UC_MEM_READ_UNMAPPED else ("Write", "to")
        name = {1: "Byte", 2: "Word", 4: "DoubleWord"}[size]
        pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
        self.log("WARNING", f"sysbus: [cpu: 0x{pc:X}] {verb}{name} {way} non existing peripheral at 0x{address:X}.")
        uc.mem_map(address & -PAGE, PAGE)
        return True
