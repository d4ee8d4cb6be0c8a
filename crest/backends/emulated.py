"""The emulated backend: an engine runs the ELF, the session talks to it over the chip's own UART."""

from __future__ import annotations

import zlib

from crest.backends.base import CadencedRecord, RunRecord
from crest.backends.cadenced import record_cadence
from crest.backends.session import check_golden_outputs, open_session
from crest.compiler.program import Program
from crest.emulators import load_engine
from crest.emulators.base import Machine, TimedMachine
from crest.emulators.profile import ExecutionProfile
from crest.errors import EmulationError, SleepStateError
from crest.schedule import Cadenced
from crest.timing import load_cycle_model


class MachineTransport:
    """The UART of a virtual board as a transport."""

    def __init__(self, machine: Machine) -> None:
        self.write = machine.send
        self.read = machine.receive


class EmulatedBackend:
    """Runs programs on a virtual board."""

    def __init__(self, engine: str = "unicorn") -> None:
        self._engine = load_engine(engine)
        self.identity = f"emulated/{self._engine.name} {self._engine.version}"

    def run(self, program: Program) -> RunRecord:
        """Check all golden pairs on the virtual board, then repeat the last inference with every data access counted.

        Blocks are counted always, which costs next to nothing; accesses, caches and flash lines, which differ little
        between inputs, over that one inference. The profile is that of this inference.

        Raises:
            EmulationError: counting accesses changed what was executed, the engine leaves counts unseen, or the
                firmware faulted.
        """
        model = load_cycle_model(program.target, program.layout.code)
        machine = self._engine.boot(program.elf, program.target, model.cycles_so_far)
        try:
            session = open_session(MachineTransport(machine), program)
            checked = check_golden_outputs(session, program)
            plain = machine.profile()
            machine.count_memory(True)
            crc = session.run()
            profile = machine.profile()
            if profile.unseen:
                raise EmulationError(f"{self.identity}: cannot tell {', '.join(profile.unseen)}: nothing can be priced")
            changed = _certain(plain).items() - profile.total().items()
            if changed or crc != zlib.crc32(program.golden[-1].outputs):
                raise EmulationError(
                    f"{self.identity}: counting data accesses changes what {program.name} executes: "
                    f"{', '.join(sorted(name for name, _ in changed)) or 'its output'}"
                )
            session.bye()
        finally:
            machine.close()
        return RunRecord(
            backend=self.identity, elf_sha256=program.elf_sha256, golden_pairs_checked=checked, profile=profile
        )

    def run_cadenced(
        self, program: Program, schedule: Cadenced, windows: int, *, wake_up_ms: float | None = None
    ) -> CadencedRecord:
        """Run the last golden input at the period of a schedule, and let the virtual board wait in between.

        Every window is executed with data accesses counted, so that it takes the time that a price says; all else takes
        a cycle for each halfword of code.

        Args:
            program: what runs.
            schedule: the period, and the state between two windows.
            windows: how many inferences.
            wake_up_ms: what a wake-up takes; by default what the target's energy model declares.

        Raises:
            StudyError: a period or margin that is not a whole number of microseconds, or no windows.
            SleepStateError: the board cannot wait in that state, or the engine has no virtual time to wait in.
            EmulationError: the firmware faulted.
            BackendError: the session broke, or an output is wrong.
        """
        model = load_cycle_model(program.target, program.layout.code)
        machine = self._engine.boot(program.elf, program.target, model.cycles_so_far)
        try:
            if not isinstance(machine, TimedMachine):
                raise SleepStateError(
                    f"the engine {self._engine.name} cannot run a board at a period: its time stands in a wait",
                    hint="take the engine unicorn",
                )
            session = open_session(MachineTransport(machine), program)
            check_golden_outputs(session, program)
            machine.count_memory(True)
            return record_cadence(self.identity, machine, session, program, schedule, windows, wake_up_ms)
        finally:
            machine.close()


def _certain(profile: ExecutionProfile) -> dict[str, int]:
    """Counts that an engine is sure of: where some are unseen, the instructions."""
    total = profile.total()
    return {"instructions": total["instructions"]} if profile.unseen else total
