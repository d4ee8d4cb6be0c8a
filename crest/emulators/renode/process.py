"""A running Renode: private folder, free port, monitor at its prompt, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from crest.emulators.renode import supervisor
from crest.emulators.renode.monitor import Monitor
from crest.emulators.renode.program import Program, private_environment
from crest.errors import EmulationError

_ATTEMPTS: Final = 3  # another process may take the free port first
_CLOSE_TIMEOUT_S: Final = 30.0
_LAST_WORDS: Final = 600


class RenodeProcess:
    """Starts Renode under a supervisor that kills it when this process closes it or dies, even by SIGKILL.

    Args:
        program: which one.
        start_s: deadline for the first prompt, in seconds.

    Raises:
        EmulationError: it does not come up.
    """

    def __init__(self, program: Program, start_s: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="crest-engine-"))
        self._owner = os.getpid()
        self._supervisor: subprocess.Popen[bytes] | None = None
        try:
            self.monitor = self._start(program, start_s)
        except BaseException:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether it still runs and answers, and belongs to this process and not to the one that forked it."""
        return self._owner == os.getpid() and self.epitaph() is None and not self.monitor.broken

    def log(self, offset: int = 0) -> bytes:
        """What Renode has printed since ``offset`` bytes."""
        try:
            with (self.folder / "stdout.log").open("rb") as file:
                file.seek(offset)
                return file.read()
        except OSError:
            return b""

    def epitaph(self) -> str | None:
        """Why Renode has ended, with its last words; None while it runs."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            return "its supervisor has ended"
        try:
            pid = int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None  # not started yet
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            words = " ".join(self.log()[-_LAST_WORDS:].decode("utf-8", "replace").split())
            return f"its last words were {words!r}" if words else "it said nothing"
        return None

    def close(self) -> None:
        """Kill Renode and remove its folder."""
        if hasattr(self, "monitor"):
            self.monitor.close()
        if self._owner != os.getpid():
            return
        if self._supervisor is not None:
            with contextlib.suppress(OSError):
                assert self._supervisor.stdin is not None
                self._supervisor.stdin.close()
            try:
                self._supervisor.wait(_CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
                self._supervisor.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, program: Program, start_s: float) -> Monitor:
        for attempt in range(_ATTEMPTS):
            port = _free_port()
            self._launch([str(program.path), "--plain", "--disable-gui", "-P", str(port)])
            try:
                return Monitor(port, self.epitaph, start_s)
            except EmulationError:
                if attempt == _ATTEMPTS - 1 or b"in use" not in self.log():
                    raise
                self.close()
                self.folder.mkdir()
        raise AssertionError("unreachable")

    def _launch(self, command: list[str]) -> None:
        try:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(self.folder), *command],
                env=private_environment(self.folder),
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as exc:
            raise EmulationError(f"Renode cannot be started: {exc}") from exc


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
