"""Describes a target to Renode: `.repl` (the machine) and the commands that load it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import Field

from crest.assets import asset_path
from crest.emulators.renode.monitor import MACHINE_NAME
from crest.emulators.renode.registers import registers_script
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.targets import CoreName, Peripheral, Target
from crest.yaml_io import load_yaml, validate

READY: Final = "crest-ready"  # exit code and prompt say nothing of success: a script ends with this word
_NVIC_BASE: Final = 0xE000E000
_DWT_BASE: Final = 0xE0001000


class ReceivePoll(Frozen):
    """The register that firmware reads while it waits for input: no byte is there when ``value & mask == idle``.

    ``reads`` of it in a row, with nothing sent in between, mean that the firmware waits.
    """

    offset: int
    mask: int
    idle: int
    reads: int = 1


class Model(Frozen):
    """A register model as a class of Renode; ``ranged`` is for those without a size of their own."""

    type: str
    properties: dict[str, str] = {}
    sized: bool = False
    ranged: bool = False
    interrupt_output: str = ""
    receive_poll: ReceivePoll | None = None


class Core(Frozen):
    """A core as a CPU type of Renode."""

    cpu_type: str
    cycle_counter: bool


class Models(Frozen):
    """``emulation/renode/models.yaml``."""

    cores: dict[CoreName, Core]
    models: dict[str, Model]
    sources: tuple[str, ...]


class Board(Frozen):
    """``emulation/renode/<target>.yaml``: what only Renode wants to know of a target; the file may be absent."""

    interrupts: dict[str, int] = Field(default={}, description="interrupt number by peripheral")


class Platform:
    """A target as Renode sees it.

    Raises:
        AssetError: the target asks for what ``emulation/renode`` does not describe.
    """

    def __init__(self, target: Target) -> None:
        path = asset_path("emulation", "renode", "models.yaml")
        self._known = validate(load_yaml(path, AssetError), Models, str(path), AssetError)
        self._target = target
        self._board = _read_board(target)
        self._model(target.uart, target.peripherals[target.uart])
        if self._model_of(target.uart).receive_poll is None:
            raise AssetError(
                f"target {target.name}: {target.uart!r} of model {target.peripherals[target.uart].model!r} is no UART "
                "that the engine renode can talk to"
            )

    @property
    def uart_device(self) -> str:
        """Name of the UART in Renode."""
        return _device(self._target.uart)

    @property
    def receive_poll(self) -> ReceivePoll:
        """What the firmware reads while it waits, with ``offset`` made an address."""
        poll = self._model_of(self._target.uart).receive_poll
        assert poll is not None
        return poll.model_copy(update={"offset": self._target.peripherals[self._target.uart].base + poll.offset})

    def write(self, folder: Path) -> None:
        """Write ``machine.repl``, the platform description, and the scripts that it names."""
        for name, peripheral in self._target.peripherals.items():
            script = registers_script(peripheral)
            if script is not None:
                (folder / f"{_device(name)}.py").write_text(script)
        (folder / "machine.repl").write_text(self.repl(folder))

    def repl(self, folder: Path) -> str:
        """The platform description; scripts are looked for in ``folder``."""
        target = self._target
        core = self._known.cores[target.core]
        hertz = round(max(target.clock_mhz) * 1e6)
        blocks = [
            f"{_device(r.name)}: Memory.MappedMemory @ sysbus {r.base:#x}\n{_lines([f'size: {r.size_bytes:#x}'])}"
            for r in target.regions
        ]
        nvic = [f"priorityMask: {0xC0 if target.core == 'cortex-m0plus' else 0xF0:#x}", f"systickFrequency: {hertz}"]
        blocks.append(f"nvic: IRQControllers.NVIC @ sysbus {_NVIC_BASE:#x}\n{_lines([*nvic, '-> cpu@0'])}")
        cpu = [f'cpuType: "{core.cpu_type}"', "nvic: nvic", f"PerformanceInMips: {max(1, round(hertz / 1e6))}"]
        blocks.append(f"cpu: CPU.CortexM @ sysbus\n{_lines(cpu)}")
        if core.cycle_counter:  # it counts instructions, for virtual time is instructions by PerformanceInMips
            blocks.append(f"dwt: Miscellaneous.DWT @ sysbus {_DWT_BASE:#x}\n{_lines([f'frequency: {hertz}'])}")
        blocks += [self._peripheral(name, p, folder) for name, p in target.peripherals.items()]
        return "".join(blocks)

    def script(self, folder: Path, vectors: int) -> Iterator[str]:
        """Commands that make the machine of ``folder``/machine.repl and load ``folder``/firmware.elf into it.

        Args:
            folder: holds the files; the UART writes to ``folder``/uart.bin.
            vectors: address of the vector table.
        """
        yield f'mach create "{MACHINE_NAME}"'
        yield f"machine LoadPlatformDescription {script_path(folder / 'machine.repl')}"
        yield f"sysbus LoadELF {script_path(folder / 'firmware.elf')}"
        yield "using sysbus"
        yield f"cpu VectorTableOffset {vectors:#x}"
        yield "emulation SetGlobalAdvanceImmediately true"  # as fast as the host can, not as the clock says
        yield from self._reset_values()
        yield f"{self.uart_device} CreateFileBackend {script_path(folder / 'uart.bin')} true"

    def _reset_values(self) -> Iterator[str]:
        for peripheral in self._target.peripherals.values():
            for offset, value in peripheral.registers.items() if registers_script(peripheral) is None else ():
                yield f"sysbus WriteDoubleWord {peripheral.base + offset:#x} {value:#x}"

    def _peripheral(self, name: str, peripheral: Peripheral, folder: Path) -> str:
        model = self._model(name, peripheral)
        if registers_script(peripheral) is not None:
            script = (folder / f"{_device(name)}.py").as_posix()
            lines = [f"size: {peripheral.size_bytes:#x}", "initable: true", f'filename: "{script}"']
            return f"{_device(name)}: Python.PythonPeripheral @ sysbus {peripheral.base:#x}\n{_lines(lines)}"
        hertz = str(round(max(self._target.clock_mhz) * 1e6))
        place = f"<{peripheral.base:#x}, +{peripheral.size_bytes:#x}>" if model.ranged else f"{peripheral.base:#x}"
        properties = [f"{key}: {value.replace('{hertz}', hertz)}" for key, value in model.properties.items()]
        if model.sized:
            properties.insert(0, f"size: {peripheral.size_bytes:#x}")
        if name in self._board.interrupts:
            properties.append(f"{model.interrupt_output} -> nvic@{self._board.interrupts[name]}".strip())
        return f"{_device(name)}: {model.type} @ sysbus {place}\n{_lines(properties)}"

    def _model_of(self, name: str) -> Model:
        return self._known.models[self._target.peripherals[name].model]

    def _model(self, name: str, peripheral: Peripheral) -> Model:
        if peripheral.model not in self._known.models:
            raise AssetError(
                f"target {self._target.name}: the engine renode has nothing for peripheral {name!r} of register model "
                f"{peripheral.model!r}",
                hint=f"models in emulation/renode/models.yaml: {', '.join(sorted(self._known.models))}",
            )
        return self._known.models[peripheral.model]


def script_path(path: Path) -> str:
    """A path as an argument of the monitor."""
    return "@" + path.as_posix().replace(" ", "\\ ")


def _read_board(target: Target) -> Board:
    """The file beside a target file of the user's, or the one that ships; an absent one says nothing."""
    if target.folder is not None:
        path = target.folder / f"{target.name}.renode.yaml"
    else:
        path = asset_path("emulation", "renode").joinpath(f"{target.name}.yaml")
    return validate(load_yaml(path, AssetError), Board, str(path), AssetError) if path.is_file() else Board()


def _device(name: str) -> str:
    """Peripherals get a prefix, for a name may be a command of the monitor."""
    return f"board_{name}".replace("-", "_")


def _lines(properties: list[str]) -> str:
    return "".join(f"    {line}\n" for line in properties)
