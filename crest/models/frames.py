"""Framed messages between a process and its child: a JSON header and named arrays, nothing executable.

A frame is two little-endian 64-bit lengths, the JSON text, and an .npz archive (empty without arrays).
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

_LENGTHS: Final = struct.Struct("<QQ")
_LARGEST_BYTES: Final = 1 << 32

Arrays = dict[str, NDArray[Any]]


class BrokenStreamError(Exception):
    """The stream ended, or what came is not a frame."""


def write_frame(stream: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Send one message."""
    text = json.dumps(header).encode()
    archive = io.BytesIO()
    if arrays:
        np.savez(archive, allow_pickle=False, **dict(arrays))
    payload = archive.getvalue()
    stream.write(_LENGTHS.pack(len(text), len(payload)) + text)
    stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """Receive one message.

    Raises:
        BrokenStreamError: the other end is gone or does not speak frames.
    """
    text_bytes, payload_bytes = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    if max(text_bytes, payload_bytes) > _LARGEST_BYTES:
        raise BrokenStreamError(f"a frame of {max(text_bytes, payload_bytes)} bytes")
    header = json.loads(_read_exactly(stream, text_bytes))
    payload = _read_exactly(stream, payload_bytes)
    if not payload:
        return header, {}
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        return header, {name: archive[name] for name in archive.files}


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) != size:
        raise BrokenStreamError(f"the stream ended {size - len(data or b'')} bytes early")
    return data
