"""A board switched on inside Renode: loads it, runs it, exchanges bytes over its UART, counts what it executed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crest.emulators.base import LAYER_MARK_SYMBOL
from crest.emulators.elf import ElfImage
from crest.emulators.profile import ExecutionProfile
from crest.emulators.renode.counting import Counting
from crest.emulators.renode.failure import describe_fault, fault_handlers, logged_failure, read_number, stopped
from crest.emulators.renode.marks import Marks, fault_hook, mark_hook, wait_hook
from crest.emulators.renode.platform import READY, Platform, script_path
from crest.emulators.renode.process import RenodeProcess
from crest.errors import EmulationError
from crest.targets import Target

_FIRST_POLL_S: Final = 0.001
_LAST_POLL_S: Final = 0.05
_SPIN: Final = 0xE7FE  # an instruction that branches to itself


@dataclass(frozen=True)
class Deadlines:
    """Limits of a run.

    Attributes:
        start_s: seconds until Renode shows its first prompt.
        command_s: seconds for one command of the monitor.
        quiet_s: seconds without output after which the firmware is looked at: does it wait, sleep or work?
        silence_s: seconds that it may work without a sign of life.
        instructions: what it may execute without a sign of life.
    """

    start_s: float = 120.0
    command_s: float = 120.0
    quiet_s: float = 0.5
    silence_s: float = 1800.0
    instructions: int = 5 * 10**9


DEFAULT_DEADLINES: Final = Deadlines()


class RenodeMachine:
    """A board that is switched on; made by ``RenodeEngine.boot``.

    Args:
        process: at its prompt, with no machine in it.
        image: what runs.
        elf: the same, as a file.
        target: the board.
        identity: name, version and mode of the engine, for profiles.
        traces: whether accesses may be counted, by a trace.
        deadlines: limits of a run.
        release: takes the process back; the second argument says whether it can be used again.
    """

    def __init__(
        self,
        process: RenodeProcess,
        image: ElfImage,
        elf: bytes,
        target: Target,
        identity: str,
        traces: bool,
        deadlines: Deadlines,
        release: Callable[[RenodeProcess, bool], None],
    ) -> None:
        self._process, self._image = process, image
        self._identity, self._traces, self._deadlines, self._release = identity, traces, deadlines, release
        self._platform = Platform(target)
        self._folder = _new_folder(process.folder)
        self._marks = Marks(self._folder / "marks.txt")
        self._counting = Counting(self._execute, self._folder, image, target, identity)
        self._queue = bytearray()
        self._taken = 0
        self._log_read = len(process.log())
        self._waiting = False  # for input, with none in the UART
        self._watched = False  # the machine stops when it looks for input
        self._closed = False
        self._failure: EmulationError | None = None
        self._load(elf)

    def send(self, data: bytes) -> None:
        """Queue bytes for the board's UART."""
        self._queue += data

    def receive(self) -> bytes:
        """Run until the firmware has transmitted something or waits for input with nothing queued.

        Returns:
            What was transmitted; empty when the firmware waits.

        Raises:
            EmulationError: the firmware faulted, ran away, or touched what the board does not have; or Renode broke. A
                machine that has failed stays so.
        """
        if self._failure:
            raise self._failure
        try:
            return self._receive()
        except EmulationError as error:
            self._failure = error
            raise

    def count_memory(self, enabled: bool) -> None:
        """Trace every instruction with its accesses from now on, or stop doing so; some hundred times slower.

        Raises:
            EmulationError: the engine's mode is ``counters``.
        """
        if not self._traces:
            raise EmulationError(
                f"{self._identity} counts no data accesses, so nothing can be priced with it",
                hint="the engine `renode` without a mode traces them",
            )
        if enabled == self._counting.tracing:
            return
        self._counting.end_trace(self._marks.window)
        if enabled:
            self._counting.begin_trace(self._executed())

    def profile(self) -> ExecutionProfile:
        """Counts of the last complete latency window: complete when it was traced, else by opcode counters.

        Raises:
            EmulationError: no window has been completed, or the firmware does not mark any; or it executed
                instructions that the target does not have.
        """
        if LAYER_MARK_SYMBOL not in self._image.symbols:
            raise EmulationError(
                f"the firmware has no function {LAYER_MARK_SYMBOL}", hint="link it in, not inlined, and do not strip"
            )
        self._check()
        window = self._marks.window
        if window is None:
            raise EmulationError(
                "no latency window has been completed", hint="run an inference between the marks that open and close it"
            )
        if self._counting.tracing:
            self._counting.end_trace(window)
            self._counting.begin_trace(self._executed())
        return self._counting.profile(window)

    def close(self) -> None:
        """Remove the machine from Renode, and give the process back."""
        if self._closed:
            return
        self._closed = True
        usable = self._process.usable
        if usable:
            try:
                self._execute("Clear")
            except EmulationError:
                usable = False
        self._failure = self._failure or EmulationError("the machine has been closed")
        self._release(self._process, usable)

    # Loading.

    def _load(self, elf: bytes) -> None:
        (self._folder / "firmware.elf").write_bytes(elf)
        self._platform.write(self._folder)
        self._run_script(self._platform.script(self._folder, self._image.vectors))
        self._run_script(self._preparation())

    def _preparation(self) -> Iterator[str]:
        for number, counter in enumerate(self._counting.counters):
            yield f'cpu InstallOpcodeCounterPattern "p{number}" "{counter.pattern}"'
        yield "cpu EnableOpcodesCounting true"
        if LAYER_MARK_SYMBOL in self._image.symbols:
            hook = mark_hook(self._folder / "marks.txt", len(self._counting.counters))
            yield f'cpu AddHook {self._image.symbols[LAYER_MARK_SYMBOL]:#x} "{hook}"'
        for address in fault_handlers(self._image):
            yield f'cpu AddHook {address:#x} "{fault_hook(self._folder / "marks.txt")}"'

    # Running.

    def _receive(self) -> bytes:
        while True:
            if self._waiting:
                if not self._queue:
                    return b""
                self._deliver()
            else:
                self._watch(self._platform.receive_poll.reads == 1)  # else it would stop while it sends
            if sent := self._run():
                return sent

    def _deliver(self) -> None:
        """Put the queued bytes into the UART while the machine stands: none is lost or comes too early."""
        self._run_script([f"{self._platform.uart_device} WriteChar {byte}" for byte in self._queue])
        self._queue.clear()
        self._waiting = False
        self._watch(False)  # or it would stop at every byte

    def _run(self) -> bytes:
        """Run until there is output, or until the firmware is known to wait; returns the output."""
        begun, first = time.monotonic(), self._executed()
        last, looks = first, 0
        while True:
            waits = self._marks.waits
            self._execute("start")
            stopped_itself = self._await_stop()
            if not stopped_itself:
                self._execute("pause")
            self._check()
            if sent := self._transmitted():
                return sent
            now = self._executed()
            looked = self._marks.waits > waits
            idle = looked and self._idle()
            looks = looks + 1 if idle else 0
            # A core that executes nothing sleeps; a late request to pause may have stopped one that would.
            asleep = now == last and not stopped_itself
            if asleep or looks >= self._platform.receive_poll.reads:
                self._waiting = True
                return b""
            self._watch(idle or not looked)  # one that looks though there is something reads what was sent
            if not looked:
                self._guard(now - first, time.monotonic() - begun)
            last = now

    def _await_stop(self) -> bool:
        """Wait for output or a quiet while; whether the machine has stopped by itself."""
        end = time.monotonic() + self._deadlines.quiet_s
        wait = _FIRST_POLL_S
        while True:
            time.sleep(wait)
            if self._execute("machine IsPaused").strip() == "True":
                return True
            if self._uart_bytes() > self._taken or time.monotonic() > end:
                return False
            wait = min(2 * wait, _LAST_POLL_S)

    def _guard(self, instructions: int, seconds: float) -> None:
        if self._number(f"sysbus ReadWord {self._pc():#x}") == _SPIN:
            raise self._stopped("an instruction that branches to itself for ever")
        if instructions > self._deadlines.instructions or seconds > self._deadlines.silence_s:
            work = f"{instructions} instructions in {seconds:.0f} s"
            raise self._stopped(f"{work} without a sign of life: an endless loop?")

    def _idle(self) -> bool:
        """Whether the UART has nothing for the firmware."""
        poll = self._platform.receive_poll
        return self._number(f"sysbus ReadDoubleWord {poll.offset:#x}") & poll.mask == poll.idle

    def _watch(self, enabled: bool) -> None:
        """Stop the machine when it looks for input, or stop doing so."""
        if enabled == self._watched:
            return
        address = f"{self._platform.receive_poll.offset:#x}"
        if enabled:
            hook = wait_hook(self._folder / "marks.txt")
            self._run_script([f'sysbus AddWatchpointHook {address} DoubleWord Read "{hook}"'])
        else:
            self._execute(f"sysbus RemoveAllWatchpointHooks {address}")
        self._watched = enabled

    def _check(self) -> None:
        """Raise what the hooks and the log know of a failure."""
        try:
            self._marks.read()
        except EmulationError as error:
            raise self._stopped(error.message) from error
        if self._marks.fault_stack is not None:
            raise describe_fault(self._marks.fault_stack, self._execute, self._image, self._marks.place())
        log = self._process.log(self._log_read)
        self._log_read += log.rfind(b"\n") + 1
        if text := logged_failure(log):
            raise self._stopped(text)

    def _transmitted(self) -> bytes:
        try:
            with (self._folder / "uart.bin").open("rb") as file:
                file.seek(self._taken)
                sent = file.read()
        except FileNotFoundError:
            return b""
        self._taken += len(sent)
        return sent

    def _uart_bytes(self) -> int:
        try:
            return (self._folder / "uart.bin").stat().st_size
        except FileNotFoundError:
            return 0

    # Asking Renode.

    def _run_script(self, commands: Iterable[str]) -> None:
        """Run commands from a file: they may be long and many, and the monitor echoes what it is sent."""
        script = self._folder / "commands.resc"
        script.write_text("\n".join([*commands, f'echo "{READY}"']) + "\n")
        said = self._execute(f"include {script_path(script)}")
        if READY not in said:
            raise EmulationError(
                f"Renode did not finish a script: {said[-300:]!r}",
                hint="is this version of Renode known to work? See docs/renode.md",
            )

    def _execute(self, command: str) -> str:
        return self._process.monitor.execute(command, self._deadlines.command_s)

    def _number(self, command: str) -> int:
        return read_number(self._execute, command)

    def _executed(self) -> int:
        return self._number("cpu ExecutedInstructions")

    def _pc(self) -> int:
        return self._number("cpu PC") & ~1

    def _stopped(self, text: str) -> EmulationError:
        return stopped(text, self._pc(), self._execute, self._image, self._marks.place())


def _new_folder(parent: Path) -> Path:
    number = len(list(parent.glob("machine-*"))) + 1
    folder = parent / f"machine-{number}"
    folder.mkdir()
    return folder
