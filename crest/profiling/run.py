"""Runs a firmware until the part to be profiled has ended, and says where its time went."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from elftools.elf.elffile import ELFFile

from crest.backends.emulated import MachineTransport
from crest.backends.session import Session
from crest.emulators.base import LAYER_MARK_SYMBOL
from crest.emulators.call_hook import DEPTH_MAX, NODES_MAX, NOWHERE, Window
from crest.emulators.elf import read_elf
from crest.emulators.profile import INSTRUCTION_CLASSES
from crest.emulators.stubs import Stubs
from crest.emulators.traced_machine import RunEnd, TracedMachine
from crest.emulators.unicorn_engine import UnicornEngine
from crest.errors import EmulationError
from crest.profiling.costs import (
    Code,
    Cost,
    cost_places,
    inclusive_costs,
    line_costs,
    main_region,
    node_costs,
    node_path,
)
from crest.profiling.lines import LineTable
from crest.profiling.report import CallPath, FirmwareProfile, FunctionCost, LineCost
from crest.profiling.symbols import FunctionTable
from crest.targets import Target
from crest.timing import CycleModel, load_cycle_model

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
        run = _Run(request, machine, functions, LineTable(file, {address for address, _ in places}), begin)
        run.go(is_ours)
        return run.result()
    finally:
        machine.close()


class _Run:
    """One run of a machine and what is known around it."""

    def __init__(
        self,
        request: ProfileRequest,
        machine: TracedMachine,
        functions: FunctionTable,
        lines: LineTable,
        begin: str | None,
    ) -> None:
        self._request = request
        self._machine = machine
        self._functions = functions
        self._lines = lines
        self._begin = begin
        self._output = bytearray()
        self._code = Code(machine.block_at, machine.code_at)
        self._end = RunEnd("input")
        self._doubt: str | None = None

    def go(self, is_ours: bool) -> None:
        """Run to the end."""
        if is_ours:
            self._infer()
        else:
            self._let_run()
        self._end = self._machine.end or self._end
        if not self._machine.calls.has_begun:
            raise EmulationError(
                f"{self._begin} was not reached: {self._end_text()}",
                hint=self._machine.poll_hint() or "it may be inlined where it is called",
            )
        if self._end.kind == "budget" and self._request.instructions_max is None:
            raise EmulationError(
                f"no end after {INSTRUCTIONS_MAX:,} instructions: an endless loop?",
                hint=self._machine.poll_hint() or "--max-instructions ends the profile, and --to at a function",
            )

    def _let_run(self) -> None:
        while self._machine.end is None:
            data = self._machine.receive()
            text = self._machine.take_text()
            self._output += data + text
            if not data and not text:
                return

    def _infer(self) -> None:
        """One inference on zeros, asked for as a measurement does."""
        line = _Line(self._machine)
        session = Session(line)
        try:
            session.load(bytes(session.hello().input_bytes))
            session.run()
        except _EndedError:
            pass

    def result(self) -> FirmwareProfile:
        """What has been counted."""
        request, machine = self._request, self._machine
        model = self._cycle_model()
        engine = f"{UnicornEngine.name} {UnicornEngine.version}"
        spin = self._end.address if self._end.kind == "spin" else None
        places = cost_places(machine.calls, self._code, request.target.core, engine, model, spin)
        total = places.profile.total()
        own = node_costs(places)
        lines = {} if self._lines.problem else line_costs(machine.calls, places, self._code, self._lines, model)
        return FirmwareProfile(
            elf_sha256=hashlib.sha256(request.elf).hexdigest(),
            target=request.target.name,
            core=request.target.core,
            clock_mhz=max(request.target.clock_mhz),
            engine=engine,
            cycle_model=model.identity,
            begins=f"{self._begin} is entered" if self._begin else "reset",
            ends=self._end_text(),
            exit_code=self._end.exit_code,
            instructions=total.get("instructions", 0),
            cycles=model.total_cycles(places.profile),
            mix={name: total[name] for name in INSTRUCTION_CLASSES if total.get(name)},
            functions=tuple(self._function_costs(own)),
            lines=tuple(
                LineCost(file=line.file, line=line.line, instructions=cost.instructions, cycles=cost.cycles)
                for line, cost in sorted(lines.items(), key=lambda item: -item[1].cycles)
                if line is not None
            ),
            lines_missing=self._lines.problem,
            paths=self._paths(own),
            output=(self._output + machine.take_text()).decode("utf-8", "replace"),
            notes=tuple(self._notes(own, lines.get(None), total.get("instructions", 0))),
        )

    def _cycle_model(self) -> CycleModel:
        """The cycle model of the region that most of the code ran in, if it has one of its own."""
        target = self._request.target
        region = main_region(self._machine.calls, target.regions)
        if region is None or region == target.code_region or region in target.fetch_stall_factor_in:
            return load_cycle_model(target, region)
        self._doubt = f"nothing is known of the cycles of code in {region}; those of {target.code_region} are given"
        return load_cycle_model(target)

    def _function_costs(self, own: dict[int, Cost]) -> list[FunctionCost]:
        nodes = self._machine.calls.nodes()
        calls: dict[int, int] = defaultdict(int)
        alone: dict[int, Cost] = defaultdict(Cost)
        for number, (_, function, entered) in enumerate(nodes.tolist()):
            calls[function] += entered
            alone[function].add(own.get(number, Cost()))
        inclusive = inclusive_costs(nodes, own)
        rows = []
        for number, cost in alone.items():
            is_known = number < len(self._functions.functions)
            begin = self._functions.functions[number].begin if is_known else None
            line = self._lines.at(begin) if begin is not None else None
            rows.append(
                FunctionCost(
                    name=self._functions.name(number),
                    address=begin,
                    file=line.file if line else None,
                    line=line.line if line else None,
                    calls=calls[number],
                    self_instructions=cost.instructions,
                    self_cycles=cost.cycles,
                    inclusive_instructions=inclusive[number].instructions,
                    inclusive_cycles=inclusive[number].cycles,
                )
            )
        return sorted((row for row in rows if row.inclusive_instructions), key=lambda row: (-row.self_cycles, row.name))

    def _paths(self, own: dict[int, Cost]) -> tuple[CallPath, ...]:
        nodes = self._machine.calls.nodes()
        return tuple(
            CallPath(
                functions=tuple(self._functions.name(number) for number in node_path(nodes, node)),
                instructions=cost.instructions,
                cycles=cost.cycles,
            )
            for node, cost in sorted(own.items())
        )

    def _end_text(self) -> str:
        end, where = self._end, self._place(self._end.address)
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

    def _place(self, address: int | None) -> str:
        for function in self._functions.functions if address is not None else ():
            if address is not None and function.begin <= address < function.end:
                return f"{function.name}+{address - function.begin:#x}"
        return "?" if address is None else f"{address:#010x}"

    def _notes(self, own: dict[int, Cost], without_line: Cost | None, instructions: int) -> list[str]:
        calls, notes = self._machine.calls, [self._doubt] if self._doubt else []
        if self._request.end and self._end.kind != "to":
            notes.append(f"{self._request.end} was not reached")
        if self._end.kind == "budget" and (hint := self._machine.poll_hint()):
            notes.append(hint)
        if calls.deep_calls:
            notes.append(
                f"{calls.deep_calls:,} calls were deeper than {DEPTH_MAX}: between, functions are missing from the "
                "paths, and from what includes them"
            )
        lost = sum(cost.cycles for number, cost in own.items() if number >= NODES_MAX)
        if lost:
            notes.append(
                f"{lost:,.0f} cycles passed after {NODES_MAX:,} different paths were known: their functions begin "
                "paths of their own"
            )
        if without_line is not None and without_line.instructions:
            notes.append(f"{without_line.instructions / instructions:.1%} of the instructions have no source line")
        return notes


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
