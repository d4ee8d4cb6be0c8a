"""The contract of an engine: run an ELF on a target, exchange bytes over its UART, return an execution profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, runtime_checkable

from crest.emulators.profile import ExecutionProfile
from crest.emulators.timeline import Timeline
from crest.schedule import SleepName
from crest.targets import Target

# Firmware calls this function, which must not be inlined, to say where it is.
LAYER_MARK_SYMBOL: Final = "crest_layer_mark"
# Its address is the lowest that the stack may reach.
STACK_LIMIT_SYMBOL: Final = "crest_stack_limit"
# Arguments of crest_layer_mark(uint32_t); any other value below LAYERS_MAX is the index of the layer that begins.
MARK_WINDOW_OPEN: Final = 0xFFFFFFFE
MARK_WINDOW_CLOSE: Final = 0xFFFFFFFF
MARK_OVERHEAD: Final = 0xFFFFFFFD
LAYERS_MAX: Final = 4096


CycleCount = Callable[[Mapping[str, int]], float]
"""Cycles of the counts of a part of a latency window."""


class Machine(Protocol):
    """A board that is switched on."""

    def send(self, data: bytes) -> None:
        """Queue bytes for the board's UART."""
        ...

    def receive(self) -> bytes:
        """Run until the firmware has transmitted something or waits for input with nothing queued.

        Returns:
            What was transmitted; empty when the firmware waits.

        Raises:
            EmulationError: the firmware faulted, ran away, or touched what the board does not have.
        """
        ...

    def count_memory(self, enabled: bool) -> None:
        """Count data accesses by region, and what the memory system makes of them, from now on, or stop doing so.

        The machine is much slower meanwhile; each engine says how much.
        """
        ...

    def profile(self) -> ExecutionProfile:
        """Counts of the last complete latency window.

        Instruction totals are exact always. An engine that cannot tell other counts while accesses are not counted
        names them in ``unseen``.

        Raises:
            EmulationError: no window has been completed.
        """
        ...

    def close(self) -> None:
        """Switch off and release everything."""
        ...


@runtime_checkable
class TimedMachine(Machine, Protocol):
    """A board whose waits take virtual time."""

    def timeline(self) -> Timeline:
        """What it did when, since power-up."""
        ...

    def set_wake_up(self, state: SleepName, cycles: int) -> None:
        """Let every wake-up from a state take that many cycles of the core's clock, from now on."""
        ...


class Engine(Protocol):
    """An emulator."""

    name: str
    version: str

    def boot(self, elf: bytes, target: Target, cycles: CycleCount | None = None) -> Machine:
        """Load an ELF into the target's memories and reset the core; nothing runs yet.

        Args:
            elf: the firmware.
            target: the board.
            cycles: what the cycle counters of the core read in a latency window, from the counts since it opened; an
                engine whose counters are its own does not ask.

        Raises:
            EmulationError: the ELF does not fit the target.
            AssetError: the target asks for what the engine does not model.
        """
        ...
