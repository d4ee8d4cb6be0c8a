"""Runs a firmware until the part to be profiled has ended."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from elftools.elf.elffile import ELFFile

from crest.backends.emulated import MachineTransport
from crest.backends.session import Session
from crest.emulators.base import LAYER_MARK_SYMBOL
from crest.emulators.call_hook import NOWHERE, Window
from crest.emulators.elf import read_elf
from crest.emulators.stubs import Stubs
from crest.emulators.traced_machine import RunEnd, TracedMachine
from crest.errors import EmulationError
from crest.profiling.lines import LineTable
from crest.profiling.report import FirmwareProfile
from crest.profiling.summary import FinishedRun, summarise
from crest.profiling.symbols import FunctionTable
from crest.targets import Target

INSTRUCTIONS_MAX: Final = 2_000_000_000
_INFERENCE: Final = "model_run"
_OURS: Final = ("harness_main", _INFERENCE, LAYER_MARK_SYMBOL)


@dataclass(frozen=True)
class ProfileRequest:
    """What to profile.

    Attributes:
        elf: an executable for a Cortex-M, with symbols.
        target: the board.
        begin: function at whose first entry the part begins; None: at reset, or, in CREST's own measuring firmware,
            at the inference.
        end: function at whose next entry it ends; None: when ``begin`` returns, or the firmware ends by itself.
        instructions_max: the part ends before it holds more; None: so many that more are an error.
        stubs: peripherals beside those of the target.
    """

    elf: bytes
    target: Target
    begin: str | None = None
    end: str | None = None
    instructions_max: int | None = None
    stubs: Stubs | None = None


class _EndedError(Exception):
    """The run ended in the middle of a measuring session."""


def profile_firmware(request: ProfileRequest) -> FirmwareProfile:
    """Run a firmware and account for every instruction of a part of the run.

    Raises:
        EmulationError: no such function, a stripped ELF, another architecture, a fault, an access to a peripheral that
            is not there (the hint has the line for ``stubs``), or a part that is not reached or does not end.
        AssetError: the target asks for what the engine does not model, or a stub lies in memory.
    """
    image = read_elf(request.elf, request.target)
    file = ELFFile(io.BytesIO(request.elf))
    functions = FunctionTable(file)
    is_ours = all(name in functions for name in _OURS)
    begin = _INFERENCE if is_ours and request.begin is None else request.begin
    window = Window(
        begin=NOWHERE if begin is None else functions.address(begin),
        end=NOWHERE if request.end is None else functions.address(request.end),
        ends_on_return=begin is not None and request.end is None,
        instructions_max=request.instructions_max or INSTRUCTIONS_MAX,
    )
    places = [(function.begin, function.end) for function in functions.functions]
    machine = TracedMachine(image, request.target, places, window, request.stubs)
    try:
        lines = LineTable(file, {address for address, _ in places})
        return summarise(_Run(request, machine, functions, begin).go(is_ours, lines))
    finally:
        machine.close()


class _Run:
    """One run of a machine and what is known around it."""

    def __init__(
        self, request: ProfileRequest, machine: TracedMachine, functions: FunctionTable, begin: str | None
    ) -> None:
        self._request = request
        self._machine = machine
        self._functions = functions
        self._begin = begin
        self._output = bytearray()

    def go(self, is_ours: bool, lines: LineTable) -> FinishedRun:
        """Run to the end."""
        if is_ours:
            self._infer()
        else:
            self._let_run()
        machine, request = self._machine, self._request
        end = machine.end or RunEnd("input")
        ends, hint = self._in_words(end), machine.poll_hint()
        if not machine.calls.has_begun:
            if end.kind == "budget":
                raise EmulationError(f"{ends} is less than the first basic block", hint="raise --max-instructions")
            raise EmulationError(
                f"{self._begin} was not reached: {ends}", hint=hint or "it may be inlined where it is called"
            )
        if end.kind == "budget" and request.instructions_max is None:
            raise EmulationError(
                f"no end after {INSTRUCTIONS_MAX:,} instructions: an endless loop?",
                hint=hint or "--max-instructions ends the profile, and --to at a function",
            )
        unreached = (f"{request.end} was not reached",) if request.end and end.kind != "to" else ()
        polling = (hint,) if end.kind == "budget" and hint else ()
        return FinishedRun(
            elf=request.elf,
            target=request.target,
            machine=machine,
            functions=self._functions,
            lines=lines,
            begins=f"{self._begin} is entered" if self._begin else "reset",
            ends=ends,
            exit_code=end.exit_code,
            spin_address=end.address if end.kind == "spin" else None,
            output=(self._output + machine.take_text()).decode("utf-8", "replace"),
            notes=(*unreached, *polling),
        )

    def _let_run(self) -> None:
        while self._machine.end is None:
            data = self._machine.receive()
            text = self._machine.take_text()
            self._output += data + text
            if not data and not text:
                return
            if not self._machine.calls.has_begun and self._machine.ticks() > 2 * INSTRUCTIONS_MAX:
                raise EmulationError(f"{self._begin} was not reached within {INSTRUCTIONS_MAX:,} instructions")

    def _infer(self) -> None:
        """One inference on zeros, asked for as a measurement does."""
        session = Session(_Line(self._machine))
        try:
            session.load(bytes(session.hello().input_bytes))
            session.run()
        except _EndedError:
            pass

    def _in_words(self, end: RunEnd) -> str:
        where = "?" if end.address is None else self._functions.place(end.address)
        return {
            "to": f"{self._request.end} is entered",
            "returned": f"{self._begin} returns",
            "budget": f"the limit of {self._request.instructions_max or INSTRUCTIONS_MAX:,} instructions",
            "exit": f"the firmware exits with code {end.exit_code} (semihosting) in {where}",
            "breakpoint": f"a breakpoint (BKPT) in {where}",
            "sleep": f"the core sleeps in {where}, and nothing can wake it",
            "spin": f"{where} branches to itself for ever; its rounds are not counted",
            "input": "the firmware waits for input on the UART",
        }[end.kind]


class _Line(MachineTransport):
    """The UART, for as long as the run goes on."""

    def __init__(self, machine: TracedMachine) -> None:
        super().__init__(machine)
        self._machine = machine
        self.read = self._read

    def _read(self) -> bytes:
        data = self._machine.receive()
        if self._machine.end is not None:
            raise _EndedError
        return data
