"""Talks to Renode's monitor over TCP: one command, one answer.

The monitor is a terminal: it negotiates telnet options, echoes what it gets, and shows a prompt when it is ready for
the next command. Errors are text only.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Final

from crest.errors import EmulationError

MACHINE_NAME: Final = "crest"
_PROMPT: Final = re.compile(rf"(?:^|[\r\n])\((?:monitor|{MACHINE_NAME})\) $")
_TELNET: Final = re.compile(rb"\xff[\xfb-\xfe].", re.DOTALL)
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERRORS: Final = (
    "There was an error executing command",
    "No such command or device",
    "Bad parameters for command",
    "Parameters did not match the signature",
    "Could not tokenize",
)
_POLL_S: Final = 0.1
_ANSWER_LIMIT: Final = 1 << 20


class Monitor:
    """A connected monitor at its prompt.

    Args:
        port: where it listens on this machine.
        epitaph: says why the process has ended; None while it runs.
        deadline_s: how long the port and the first prompt may take.

    Attributes:
        broken: an answer did not come, so that the next one may be that of another command.

    Raises:
        EmulationError: nobody answers in time, or the process ends.
    """

    def __init__(self, port: int, epitaph: Callable[[], str | None], deadline_s: float) -> None:
        self._epitaph = epitaph
        self.broken = False
        end = time.monotonic() + deadline_s
        self._socket = self._connect(port, end, deadline_s)
        self._read_answer("its start", end, deadline_s)

    def execute(self, command: str, deadline_s: float) -> str:
        """Run a command; returns what it printed, without echo and prompt.

        Raises:
            EmulationError: Renode refuses the command, does not answer in time, or has ended.
        """
        end = time.monotonic() + deadline_s
        try:
            self._socket.sendall(command.encode() + b"\n")
        except OSError as exc:
            raise self._ended(command) from exc
        answer = self._read_answer(command, end, deadline_s)
        _, _, printed = answer.partition("\n")  # the first line is the echo
        text = re.sub(r"\r*\n\r*", "\n", printed).strip("\r\n ")
        if any(error in text for error in _ERRORS):
            raise EmulationError(
                f"Renode refuses `{command}`: {' '.join(text.split())[:500]}",
                hint="is this version of Renode known to work? See docs/renode.md",
            )
        return text

    def close(self) -> None:
        """Hang up; Renode itself goes on."""
        self._socket.close()

    def _connect(self, port: int, end: float, deadline_s: float) -> socket.socket:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=_POLL_S * 10)
            except OSError:
                if (why := self._epitaph()) is not None:
                    raise EmulationError(f"Renode ended at its start: {why}") from None
                if time.monotonic() > end:
                    raise EmulationError(f"Renode did not open its monitor within {deadline_s:g} s") from None
                time.sleep(_POLL_S)
                continue
            connection.settimeout(_POLL_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection

    def _read_answer(self, command: str, end: float, deadline_s: float) -> str:
        """Text up to the next prompt."""
        received = b""
        while True:
            try:
                data = self._socket.recv(1 << 16)
                if not data:
                    raise self._ended(command)
                received += data
            except TimeoutError:
                data = b""
            except OSError as exc:
                raise self._ended(command) from exc
            if data and (prompt := _PROMPT.search(text := _plain(received))):
                return text[: prompt.start()]
            if time.monotonic() > end or len(received) > _ANSWER_LIMIT:
                self.broken = True
                tail = _plain(received)[-200:]
                raise EmulationError(
                    f"Renode did not finish `{command}` within {deadline_s:g} s; it said: {tail!r}",
                    hint="a busy machine? The deadlines are arguments of the engine",
                )

    def _ended(self, command: str) -> EmulationError:
        self.broken = True
        for _ in range(10):  # the socket closes a little before the process is gone
            if (why := self._epitaph()) is not None:
                break
            time.sleep(_POLL_S)
        return EmulationError(f"Renode ended during `{command}`: {why or 'it closed its monitor'}")


def _plain(received: bytes) -> str:
    return _ANSI.sub("", _TELNET.sub(b"", received).decode("utf-8", "replace"))
