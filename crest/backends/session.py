"""The one host side of the measuring protocol, over any transport."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from crest.backends.protocol import MAX_PAYLOAD, PROTOCOL_VERSION, REPLY, Decoder, Frame, FrameType, encode
from crest.compiler.program import Program
from crest.errors import BackendError, SleepStateError
from crest.schedule import SleepName

_ERROR_WORDS: Final = {
    1: "does not know this frame type",
    2: "was asked for bytes out of range",
    3: "got a frame of wrong length",
    4: "has no timer to wait in this state",
}
# A frame may be lost on a real line; each of these requests can be repeated without harm.
_ATTEMPTS: Final = 3
_NO_TIMER: Final = 4
_STATES: Final[dict[SleepName, int]] = {"sleep": 0, "deep_sleep": 1}


class Transport(Protocol):
    """Bytes to and from the firmware."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self) -> bytes:
        """Bytes that arrived; empty when nothing more comes before the transport's deadline."""
        ...


@dataclass(frozen=True)
class Hello:
    """What the firmware says of itself."""

    clock_hz: int
    input_bytes: int
    output_bytes: int
    model_id: bytes


@dataclass(frozen=True)
class Cadence:
    """What the firmware says of a cadenced run: ``elapsed_s`` since the first wake-up is by its own timer."""

    missed: int
    crc: int
    timer_hz: int
    elapsed_s: float


class Session:
    """Talks to the firmware of one program."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._decoder = Decoder()
        self._sequence = 0

    def hello(self) -> Hello:
        """Ask who is there.

        Raises:
            BackendError: silence, or another protocol version.
        """
        payload = self._request(FrameType.HELLO)
        if len(payload) < 4 or struct.unpack_from("<I", payload)[0] != PROTOCOL_VERSION:
            raise BackendError(
                "the firmware speaks another protocol version", hint="build and flash it with this version of CREST"
            )
        if len(payload) != 24:
            raise BackendError(f"hello of {len(payload)} bytes, 24 expected")
        _, clock_hz, input_bytes, output_bytes = struct.unpack_from("<IIII", payload)
        return Hello(clock_hz, input_bytes, output_bytes, payload[16:])

    def load(self, inputs: bytes) -> None:
        """Place the inputs where the application would."""
        step = MAX_PAYLOAD - 4
        for offset in range(0, len(inputs), step):
            self._request(FrameType.LOAD, struct.pack("<I", offset) + inputs[offset : offset + step])

    def run(self, count: int = 1) -> int:
        """Run inferences; returns the CRC-32 of the outputs of the last one."""
        done, crc = struct.unpack("<II", self._request(FrameType.RUN, struct.pack("<I", count)))
        if done != count:
            raise BackendError(f"{count} inferences were asked for, {done} were run")
        return int(crc)

    def cadence(self, windows: int, period_us: int, sleep: SleepName, margin_us: int = 0) -> Cadence:
        """Run inferences at a fixed period, and let the board wait in a state in between.

        Raises:
            SleepStateError: it cannot wait in that state.
            BackendError: a frame broke.
        """
        request = struct.pack("<IIII", windows, _STATES[sleep], period_us, margin_us)
        done, crc, missed, hz, counts = struct.unpack("<IIIIQ", self._request(FrameType.CADENCE, request))
        if done != windows:
            raise BackendError(f"{windows} windows were asked for, {done} were run")
        return Cadence(missed, crc, hz, counts / hz)

    def outputs(self, size: int) -> bytes:
        """Outputs of the last inference."""
        parts = []
        for offset in range(0, size, MAX_PAYLOAD):
            length = min(MAX_PAYLOAD, size - offset)
            parts.append(self._request(FrameType.OUTPUT, struct.pack("<II", offset, length)))
        return b"".join(parts)

    def bye(self) -> None:
        """End the session."""
        self._request(FrameType.BYE)

    def _request(self, kind: FrameType, payload: bytes = b"") -> bytes:
        self._sequence = (self._sequence + 1) % 256
        request = encode(Frame(kind, self._sequence, payload))
        for _ in range(_ATTEMPTS):
            self._transport.write(request)
            while data := self._transport.read():
                for frame in self._decoder.feed(data):
                    if frame.sequence == self._sequence and frame.type & REPLY:
                        return self._accept(kind, frame)
        raise BackendError(
            f"no answer to {kind.name} after {_ATTEMPTS} attempts ({self._decoder.dropped} broken frames)",
            hint="is the firmware of this program running, and the right port open?",
        )

    @staticmethod
    def _accept(kind: FrameType, frame: Frame) -> bytes:
        if frame.type == FrameType.ERROR | REPLY:
            code = frame.payload[0] if frame.payload else 0
            problem = f"{kind.name} refused: the firmware {_ERROR_WORDS.get(code, f'reports error {code}')}"
            if code == _NO_TIMER:
                hint = "docs/targets.md says which boards have which; try the other state"
                raise SleepStateError(problem, hint=hint)
            raise BackendError(problem)
        if frame.type != kind | REPLY:
            raise BackendError(f"{kind.name} was answered by a frame of type {frame.type:#x}")
        return frame.payload


def open_session(transport: Transport, program: Program) -> Session:
    """Start a session and make sure that the program at hand is the one that runs.

    Raises:
        BackendError: another program answers.
    """
    session = Session(transport)
    hello = session.hello()
    expected = (program.input_bytes, program.output_bytes, program.model_id)
    if (hello.input_bytes, hello.output_bytes, hello.model_id) != expected:
        raise BackendError(f"the board runs another program than {program.name}", hint="flash it again")
    return session


def check_golden_outputs(session: Session, program: Program) -> int:
    """Run every golden pair of a program on the target; returns how many.

    Raises:
        BackendError: an output differs, with the first byte that does.
    """
    for number, pair in enumerate(program.golden):
        session.load(pair.inputs)
        crc = session.run()
        if crc != zlib.crc32(pair.outputs):
            difference = _first_difference(session.outputs(program.output_bytes), pair.outputs)
            raise BackendError(f"{program.name}: wrong output for golden input {number}: {difference}")
    return len(program.golden)


def _first_difference(got: bytes, expected: bytes) -> str:
    for at, (a, b) in enumerate(zip(got, expected, strict=True)):
        if a != b:
            return f"byte {at} is {a} instead of {b}"
    return "the checksum differs, the bytes do not"
