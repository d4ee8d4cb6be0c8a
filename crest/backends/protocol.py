"""Frames of the measuring protocol, version 1: the counterpart of ``firmware/runtime/harness_protocol.h``.

A frame is COBS(type, sequence, payload, CRC-32 little endian) between zero bytes. A reply repeats the sequence number
and sets bit 7 of the type.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cobs import cobs

PROTOCOL_VERSION: Final = 1
MAX_PAYLOAD: Final = 240
REPLY: Final = 0x80
_DELIMITER: Final = b"\0"
_MAX_CODED: Final = 2 + MAX_PAYLOAD + 4 + 2


class FrameType(IntEnum):
    """Requests, and the one reply that no request has."""

    HELLO = 1
    LOAD = 2
    RUN = 3
    OUTPUT = 4
    BYE = 5
    CADENCE = 6
    ERROR = 0x7F


@dataclass(frozen=True)
class Frame:
    """One request or reply."""

    type: int
    sequence: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Bytes on the wire."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"payload of {len(frame.payload)} bytes, at most {MAX_PAYLOAD} fit a frame")
    body = struct.pack("<BB", frame.type, frame.sequence) + frame.payload
    return _DELIMITER + bytes(cobs.encode(body + struct.pack("<I", zlib.crc32(body)))) + _DELIMITER


class Decoder:
    """Finds valid frames in a stream; garbage, oversize and corrupted frames are dropped and counted."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.dropped = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by these bytes, in order."""
        frames = []
        for chunk in data.split(_DELIMITER)[:-1] if _DELIMITER in data else []:
            self._pending += chunk
            frame = self._take()
            if frame is not None:
                frames.append(frame)
        self._pending += data.rsplit(_DELIMITER, 1)[-1]
        if len(self._pending) > _MAX_CODED:
            self._pending.clear()
            self.dropped += 1
        return frames

    def _take(self) -> Frame | None:
        coded = bytes(self._pending)
        self._pending.clear()
        if not coded:
            return None
        if len(coded) > _MAX_CODED:
            self.dropped += 1
            return None
        try:
            raw = bytes(cobs.decode(coded))
        except cobs.DecodeError:
            raw = b""
        if len(raw) < 6 or struct.pack("<I", zlib.crc32(raw[:-4])) != raw[-4:]:
            self.dropped += 1
            return None
        return Frame(raw[0], raw[1], raw[2:-4])
