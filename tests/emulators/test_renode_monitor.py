"""The monitor's client over what the real Renode was recorded to send, byte for byte, and over what it never should."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest

from crest.emulators.renode.monitor import Monitor
from crest.errors import EmulationError

BANNER = b"Renode, version 1.16.1 (d66b0c2a-202611220531)"
GREETING = b'\xff\xfd\x00\xff\xfb\x01\xff\xfb\x03\xff\xfc"' + BANNER + b"\n\r\n\r(monitor) "
ANSWERS = {
    "version": b"version\n\r" + BANNER + b"\r\n\r(monitor) ",
    "bogus": b"bogus\n\rNo such command or device: bogus\r\n(monitor) ",
    'mach create "crest"': b'mach create "crest"\n\r(crest) ',
    "machine IsPaused": b"machine IsPaused\n\rTrue\r\r\n(crest) ",
    "cpu ExecutedInstructions": b"cpu ExecutedInstructions\n\r0x000000000000841E\r\r\n(crest) ",
    "sysbus LoadELF @/abs/nope.elf": (
        b"sysbus LoadELF @/abs/nope.elf\n\r\r\nThe following methods are available:\r\n\r"
        b" - Void LoadELF (...)\r\n\r\r\n\r"
        b"There was an error executing command 'sysbus LoadELF @/abs/nope.elf'\r\n"
        b"Parameters did not match the signature\r\n(crest) "
    ),
}


class Server:
    """Sends given answers, in pieces of one byte if asked to; an answer of None hangs up."""

    def __init__(self, greeting, answers, piece=1 << 16):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._greeting, self._answers, self._piece = greeting, answers, piece
        self.received = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(ConnectionError):  # a client that has had enough hangs up
            self._talk()

    def _talk(self):
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(connection, self._greeting)
        for line in connection.makefile("rb"):
            self.received.append(line)
            answer = self._answers(line.decode().rstrip("\n"))
            if answer is None:
                connection.shutdown(socket.SHUT_RDWR)
                return
            self._send(connection, answer)

    def _send(self, connection, data):
        for at in range(0, len(data), self._piece):
            connection.sendall(data[at : at + self._piece])


def connect(greeting=GREETING, answers=ANSWERS.get, piece=1 << 16, deadline_s=10.0):
    server = Server(greeting, answers, piece)
    return Monitor(server.port, lambda: None, deadline_s), server


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_recorded_answers_are_understood(piece):
    monitor, server = connect(piece=piece)
    assert monitor.execute("version", 5.0) == BANNER.decode()
    assert monitor.execute('mach create "crest"', 5.0) == ""
    assert monitor.execute("machine IsPaused", 5.0) == "True"
    assert int(monitor.execute("cpu ExecutedInstructions", 5.0), 0) == 33822
    with pytest.raises(EmulationError, match="refuses `bogus`: No such command or device: bogus"):
        monitor.execute("bogus", 5.0)
    with pytest.raises(EmulationError, match="Parameters did not match the signature"):
        monitor.execute("sysbus LoadELF @/abs/nope.elf", 5.0)
    assert server.received[0] == b"version\n"
    monitor.close()


def test_a_prompt_in_the_middle_of_an_answer_does_not_end_it():
    text = b"help\n\rthe prompt is (crest) at the\r\n\r(monitor) end of a line\r\n(crest) "
    monitor, _ = connect(answers=lambda _: text, piece=5)
    assert monitor.execute("help", 5.0).endswith("end of a line")
    monitor.close()


def test_colours_are_dropped():
    monitor, _ = connect(answers=lambda _: b"x\n\r\x1b[33;0mTrue\x1b[0m\r\n\x1b[1m(crest) ")
    assert monitor.execute("x", 5.0) == "True"
    monitor.close()


def test_silence_is_an_error():
    monitor, _ = connect(answers=lambda _: b"x\n\r")
    with pytest.raises(EmulationError, match=r"did not finish `x` within 0\.3 s; it said: 'x"):
        monitor.execute("x", 0.3)
    with pytest.raises(EmulationError, match="did not finish `its start`"):
        connect(greeting=b"", deadline_s=0.3)


def test_an_endless_answer_is_an_error():
    monitor, _ = connect(answers=lambda _: b"x" * (2 << 20))
    with pytest.raises(EmulationError, match="did not finish"):
        monitor.execute("x", 30.0)


def test_a_hang_up_is_an_error():
    monitor, _ = connect(answers=lambda _: None)
    with pytest.raises(EmulationError, match="ended during `x`: it closed its monitor"):
        monitor.execute("x", 5.0)


def test_a_port_that_nobody_opens_is_an_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(EmulationError, match="did not open its monitor"):
        Monitor(port, lambda: None, 0.3)
    with pytest.raises(EmulationError, match="ended at its start: it fell over"):
        Monitor(port, lambda: "it fell over", 5.0)


@pytest.mark.data
def test_a_whole_recorded_session(data_folder):
    path = data_folder / "renode" / "transcript.json"
    if not path.is_file():
        pytest.skip(f"no recorded session at {path}")
    session = json.loads(path.read_text())
    texts = {entry["send"]: [] for entry in session if "send" in entry}
    for entry in session:
        if "send" in entry:
            texts[entry["send"]].append(entry["received"].replace("(m4) ", "(crest) ").encode("latin-1"))
    answers = {name: iter(received) for name, received in texts.items()}
    greeting = next(entry["received"] for entry in session if entry.get("event") == "connect").encode("latin-1")
    monitor, _ = connect(greeting, lambda line: next(answers[line]))
    for entry in (entry for entry in session if "send" in entry):
        failed = any(word in entry["received"] for word in ("error executing", "No such command", "Bad parameters"))
        try:
            said = monitor.execute(entry["send"], 10.0)
            assert not failed
            assert not said.startswith(entry["send"])
        except EmulationError as error:
            assert failed
            assert entry["send"] in error.message
    monitor.close()
