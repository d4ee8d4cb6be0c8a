"""What the firmware says of itself: layer marks and faults, written to a file by hooks inside Renode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crest.emulators.base import LAYERS_MAX, MARK_OVERHEAD, MARK_WINDOW_CLOSE, MARK_WINDOW_OPEN
from crest.emulators.stops import place_of
from crest.errors import EmulationError

_PAUSE: Final = "machine.PauseAndRequestEmulationPause(True)"


def mark_hook(path: Path, counters: int) -> str:
    """Python (Renode's own, version 2.7) that runs at every layer mark: writes id, instructions and counters.

    A mark that means nothing stops the machine. The file is closed each time: what Renode's Python has not written
    when it drops a file is lost.
    """
    counts = f"[cpu.GetOpcodeCounter('p%d' % i) for i in range({counters})]"
    line = _write_line(path, "M", f"[cpu.GetRegister(0).RawValue, cpu.ExecutedInstructions] + {counts}")
    return f"{line}; ({LAYERS_MAX} <= cpu.GetRegister(0).RawValue < {MARK_OVERHEAD}) and {_PAUSE}"


def fault_hook(path: Path) -> str:
    """Python that runs at the entry of a fault handler: writes stack pointer and instructions, and stops."""
    line = _write_line(path, "F", "[cpu.GetRegister(13).RawValue, cpu.ExecutedInstructions]")
    return f"{line}; {_PAUSE}"


def wait_hook(path: Path) -> str:
    """Python that runs when the firmware looks for input (the bus is ``self``): writes a line, and stops."""
    return f"{_write_line(path, 'W', '[0]')}; self.{_PAUSE.replace('machine', 'Machine')}"


def _write_line(path: Path, kind: str, numbers: str) -> str:
    line = f"'{kind} ' + ' '.join('%d' % v for v in {numbers}) + chr(10)"
    return f"f=open('{path.as_posix()}','a'); f.write({line}); f.close()"


@dataclass(frozen=True)
class Mark:
    """A layer mark: its id, and instructions and opcode counters before its first instruction."""

    identity: int
    executed: int
    counters: tuple[int, ...]

    @property
    def row(self) -> int:
        """Row of what follows: 0 outside of the layers, i + 1 for layer i."""
        return 0 if self.identity in (MARK_WINDOW_OPEN, MARK_OVERHEAD) else self.identity + 1


@dataclass(frozen=True)
class Window:
    """The marks of a complete latency window, from the one that opens it to the one that closes it."""

    marks: tuple[Mark, ...]


class Marks:
    """Reads the file of the hooks as it grows.

    Attributes:
        window: the last complete latency window; None when there is none.
        fault_stack: stack pointer in the fault handler that was entered; None while all is well.
        waits: how often the machine was stopped because it looks for input.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._open: list[Mark] = []
        self.window: Window | None = None
        self.fault_stack: int | None = None
        self.waits = 0

    def read(self) -> None:
        """Take what has been written since the last call.

        Raises:
            EmulationError: a mark that means nothing, or a line that the hooks do not write.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("ascii", "replace").splitlines():
            self._take(line)

    def place(self) -> str:
        """Where the firmware is, in words."""
        return place_of(bool(self._open), self._open[-1].row if self._open else 0)

    def _take(self, line: str) -> None:
        kind, *fields = line.split() or [""]
        try:
            numbers = [int(field) for field in fields]
        except ValueError:
            numbers = []
        if kind == "F" and len(numbers) == 2:
            self.fault_stack = numbers[0]
        elif kind == "W":
            self.waits += 1
        elif kind == "M" and len(numbers) >= 2:
            self._mark(Mark(numbers[0] & 0xFFFFFFFF, numbers[1], tuple(numbers[2:])))
        else:
            raise EmulationError(f"Renode's hooks wrote {line[:100]!r}")

    def _mark(self, mark: Mark) -> None:
        if mark.identity == MARK_WINDOW_OPEN:
            self._open = [mark]
        elif mark.identity == MARK_WINDOW_CLOSE:
            if self._open:
                self.window = Window((*self._open, mark))
                self._open = []
        elif mark.identity == MARK_OVERHEAD or mark.identity < LAYERS_MAX:
            if self._open:
                self._open.append(mark)
        else:
            raise EmulationError(f"a layer mark with the undefined id {mark.identity:#x}")
