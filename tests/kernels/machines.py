"""Where linked kernel calls run: this machine, or an emulated core. Each has all kernels, linked once."""

from __future__ import annotations

import ctypes
import tempfile
from functools import cache
from pathlib import Path

from crest.assets import asset_path
from crest.compiler.layout import fixed_layout
from crest.compiler.linker import linker_script
from crest.compiler.toolchain import Toolchain, host_toolchain, target_toolchain
from crest.count_names import UNALIGNED_PREFIX
from crest.emulators.elf import read_elf
from crest.emulators.unicorn_engine import UnicornEngine, UnicornMachine
from crest.errors import EmulationError
from crest.placement import Placement
from crest.targets import CoreName, load_target
from tests.kernels.declarations import declarations
from tests.kernels.table import table_header

CASE_BYTES = 0x30000
BOARD = load_target("nano33ble")
# The memories and the UART of a board, with the core and the compiler flags of each.
TARGETS = {
    "cortex-m0plus": BOARD.model_copy(update={"core": "cortex-m0plus", "fpu": "none"}),
    "cortex-m4": BOARD,
    "cortex-m7": BOARD.model_copy(update={"core": "cortex-m7", "fpu": "double"}),
}
CORES: tuple[CoreName, ...] = tuple(TARGETS)


class Host:
    """The kernels as a library of this machine. Those of other cores run their portable form."""

    pointer_bytes = 8

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="crest-kernels-")
        folder = Path(self._folder.name)
        _build(host_toolchain(), folder / "kernels.so", self.pointer_bytes)
        self._library = ctypes.CDLL(str(folder / "kernels.so"))
        self._library.run_kernels.argtypes = [ctypes.c_void_p, ctypes.c_long]
        self._buffer = ctypes.create_string_buffer(CASE_BYTES + 16)
        self.base = ctypes.addressof(self._buffer) + -ctypes.addressof(self._buffer) % 16

    def run(self, memory: bytes, jobs: int) -> bytes:
        """Place a case at ``base``, run its jobs, and return what has become of its bytes."""
        assert len(memory) <= CASE_BYTES
        ctypes.memmove(self.base, memory, len(memory))
        self._library.run_kernels(self.base, jobs)
        return ctypes.string_at(self.base, len(memory))


class EmulatedCore:
    """The kernels as firmware on an emulated core."""

    pointer_bytes = 4

    def __init__(self, core: CoreName) -> None:
        target = TARGETS[core]
        with tempfile.TemporaryDirectory(prefix="crest-kernels-") as name:
            self._elf = _build_firmware(core, Path(name))
        self.base = read_elf(self._elf, target).symbols["case_memory"]
        self._target = target
        # Silicon faults where this emulator does not: on every core, and on the smallest for every access.
        self._needs_alignment = core == "cortex-m0plus"
        self._machine = self._boot()

    def _boot(self) -> UnicornMachine:
        machine = UnicornEngine().boot(self._elf, self._target)
        machine.count_memory(True)
        machine.receive()
        return machine

    def run(self, memory: bytes, jobs: int) -> bytes:
        """Place a case at ``base``, run its jobs, and return what has become of its bytes."""
        assert len(memory) <= CASE_BYTES
        self._machine.write_ram(self.base, memory)
        self._machine.send(bytes([jobs]))
        try:
            assert self._machine.receive() == bytes([jobs])
            self._machine.receive()
        except EmulationError:
            self._machine.close()
            self._machine = self._boot()
            raise
        unaligned = {name for name in self._machine.profile().total() if name.startswith(UNALIGNED_PREFIX)}
        assert not (unaligned and self._needs_alignment), "ARMv6-M faults where an access is not aligned"
        return self._machine.read_ram(self.base, len(memory))


@cache
def host() -> Host:
    return Host()


@cache
def emulated(core: CoreName) -> EmulatedCore:
    return EmulatedCore(core)


def _build_firmware(core: CoreName, folder: Path) -> bytes:
    target = TARGETS[core]
    toolchain = target_toolchain("zig", target)
    runtime, board = asset_path("firmware", "runtime"), asset_path("firmware", "boards", target.firmware_board)
    parts = (runtime / "harness_startup.c", *sorted(board.glob("*.c")))
    objects = [toolchain.compile_cached(path, [runtime]) for path in parts]
    script = folder / "target.ld"
    script.write_text(linker_script(target, fixed_layout(Placement(), target, ())), encoding="utf-8")
    _build(toolchain, folder / "kernels.elf", EmulatedCore.pointer_bytes, objects, [f"CASE_BYTES={CASE_BYTES}"], script)
    return (folder / "kernels.elf").read_bytes()


def _build(
    toolchain: Toolchain,
    output: Path,
    pointer_bytes: int,
    objects: list[Path] | None = None,
    defines: list[str] | None = None,
    script: Path | None = None,
) -> None:
    kernels = asset_path("firmware", "nn")
    (output.parent / "kernel_table.h").write_text(table_header(declarations(), pointer_bytes), encoding="utf-8")
    objects = [*(objects or ()), *(toolchain.compile_cached(path, [kernels]) for path in sorted(kernels.glob("*.c")))]
    include = [output.parent, kernels, asset_path("firmware", "runtime")]
    source = Path(__file__).with_name("runner.c")
    toolchain.build([source], objects, output, include, defines or (), script)
