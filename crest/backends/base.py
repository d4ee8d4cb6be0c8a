"""What a backend is: it runs a program on a target and returns what it saw."""

from __future__ import annotations

from typing import Protocol

from crest.compiler.program import Program
from crest.emulators.profile import ExecutionProfile
from crest.frozen import Frozen


class RunRecord(Frozen):
    """One program on one target: what it executed, after every golden output was found right."""

    backend: str
    elf_sha256: str
    golden_pairs_checked: int
    profile: ExecutionProfile


class Backend(Protocol):
    """Runs programs; ``identity`` names the backend and the version of whatever counts."""

    identity: str

    def run(self, program: Program) -> RunRecord:
        """Run a program and check its golden outputs on the target.

        Raises:
            EmulationError: the firmware faulted.
            BackendError: the session broke, or an output is wrong.
        """
        ...
