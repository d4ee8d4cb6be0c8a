"""The engine `renode`: finds the program, keeps one process of it for the machines that follow each other."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Final

from crest.emulators.base import CycleCount
from crest.emulators.elf import read_elf
from crest.emulators.isa import lint_elf, lint_fpu
from crest.emulators.renode.machine import DEFAULT_DEADLINES, Deadlines, RenodeMachine
from crest.emulators.renode.platform import Platform
from crest.emulators.renode.process import RenodeProcess
from crest.emulators.renode.program import find_program
from crest.errors import StudyError
from crest.targets import Target

MODES: Final = ("trace", "counters")


class RenodeEngine:
    """Runs firmware in Renode, a process of its own.

    Args:
        mode: ``trace`` counts everything once accesses are asked for; ``counters`` never traces: exact instruction
            totals by layer, and classes as far as the first halfword of an instruction tells.
        program: the program, or its folder; by default $CREST_RENODE, PATH, what renode-run installed.
        deadlines: limits of a run.

    Raises:
        EmulationError: Renode is not found, or too old.
        StudyError: an unknown mode.
    """

    name = "renode"

    def __init__(
        self, mode: str = "trace", *, program: str | Path | None = None, deadlines: Deadlines = DEFAULT_DEADLINES
    ) -> None:
        if mode not in MODES:
            raise StudyError(f"the engine renode has no mode {mode!r}", hint=f"modes: {', '.join(MODES)}")
        self._program = find_program(program)
        self._deadlines = deadlines
        self._mode = mode
        self._idle: list[RenodeProcess] = []
        self.version = f"{self._program.version} {mode}"
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def boot(self, elf: bytes, target: Target, cycles: CycleCount | None = None) -> RenodeMachine:
        """Load an ELF into the target's memories and reset the core; nothing runs yet.

        Args:
            elf: the firmware.
            target: the board.
            cycles: not asked for: the counters of Renode's cores are its own.

        Raises:
            EmulationError: the ELF does not fit the target, or Renode does not come up.
            AssetError: the target asks for what ``emulation/renode`` does not describe.
        """
        del cycles
        image = read_elf(elf, target)
        lint_elf(image, target)
        lint_fpu(image, target)
        Platform(target)  # a target that cannot be described should not start a process
        process = self._take()
        try:
            return RenodeMachine(
                process,
                image,
                elf,
                target,
                f"{self.name} {self.version}",
                self._mode == "trace",
                self._deadlines,
                self._give_back,
            )
        except BaseException:
            process.close()
            raise

    def close(self) -> None:
        """End the process that waits for the next machine."""
        _close_all(self._idle)

    def _take(self) -> RenodeProcess:
        while self._idle:
            process = self._idle.pop()
            if process.usable:
                return process
            process.close()
        return RenodeProcess(self._program, self._deadlines.start_s)

    def _give_back(self, process: RenodeProcess, usable: bool) -> None:
        """One process waits for the next machine, for Renode takes seconds to start."""
        if usable and not self._idle and self._finalizer.alive:
            self._idle.append(process)
        else:
            process.close()


def _close_all(processes: list[RenodeProcess]) -> None:
    while processes:
        processes.pop().close()
