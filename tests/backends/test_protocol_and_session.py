"""Frames survive noise, and the session names what went wrong."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.backends.protocol import MAX_PAYLOAD, REPLY, Decoder, Frame, FrameType, encode
from crest.backends.session import Session
from crest.errors import BackendError

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=MAX_PAYLOAD))


@settings(max_examples=200)
@given(st.lists(frames, max_size=5), st.integers(1, 50))
def test_frames_come_back_however_the_bytes_are_cut(sent, step):
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    got = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
    assert got == sent and decoder.dropped == 0


@settings(max_examples=200)
@given(frames, st.binary(max_size=400), st.data())
def test_a_damaged_frame_never_passes_and_the_next_one_does(frame, garbage, data):
    damaged = bytearray(encode(frame))
    at = data.draw(st.integers(1, len(damaged) - 2))
    damaged[at] ^= data.draw(st.integers(1, 255))
    decoder = Decoder()
    assert decoder.feed(bytes(damaged)) == []
    decoder.feed(garbage)
    assert decoder.feed(b"\0" + encode(frame))[-1] == frame


def test_endless_garbage_takes_no_memory():
    decoder = Decoder()
    for _ in range(100):
        decoder.feed(b"\x55" * 1000)
    assert len(decoder._pending) < 2000 and decoder.dropped >= 50


class FakeBoard:
    """Answers every request by a function of the frame; None is silence."""

    def __init__(self, answer):
        self._answer = answer
        self._decoder = Decoder()
        self._out: list[bytes] = []
        self.requests: list[Frame] = []

    def write(self, data):
        for frame in self._decoder.feed(data):
            self.requests.append(frame)
            reply = self._answer(frame)
            if reply is not None:
                self._out.append(reply)

    def read(self):
        return self._out.pop(0) if self._out else b""


def reply(frame: Frame, payload: bytes = b"", kind: int | None = None) -> bytes:
    return encode(Frame((frame.type if kind is None else kind) | REPLY, frame.sequence, payload))


def test_silence_is_an_error_after_a_few_attempts():
    board = FakeBoard(lambda frame: None)
    with pytest.raises(BackendError, match="no answer to HELLO after 3 attempts"):
        Session(board).hello()
    assert len(board.requests) == 3


def test_a_lost_answer_is_asked_for_again():
    seen = []

    def answer(frame):
        seen.append(frame)
        return reply(frame, struct.pack("<II", 1, 7)) if len(seen) == 2 else None

    assert Session(FakeBoard(answer)).run() == 7


def test_a_late_answer_to_an_older_request_is_not_taken():
    def answer(frame):
        stale = encode(Frame(frame.type | REPLY, (frame.sequence - 1) % 256, struct.pack("<II", 1, 666)))
        return stale + reply(frame, struct.pack("<II", 1, 7))

    assert Session(FakeBoard(answer)).run() == 7


def test_another_protocol_version_is_refused():
    board = FakeBoard(lambda frame: reply(frame, struct.pack("<IIII", 99, 0, 0, 0) + bytes(8)))
    with pytest.raises(BackendError, match="another protocol version"):
        Session(board).hello()


def test_an_error_reply_is_worded():
    board = FakeBoard(lambda frame: reply(frame, b"\2", FrameType.ERROR))
    with pytest.raises(BackendError, match="OUTPUT refused: the firmware was asked for bytes out of range"):
        Session(board).outputs(10)


def test_inputs_travel_in_whole_and_in_order():
    memory = bytearray(1000)

    def answer(frame):
        (offset,) = struct.unpack_from("<I", frame.payload)
        memory[offset : offset + len(frame.payload) - 4] = frame.payload[4:]
        return reply(frame)

    data = bytes(range(256)) * 3
    Session(FakeBoard(answer)).load(data)
    assert zlib.crc32(memory[: len(data)]) == zlib.crc32(data)
