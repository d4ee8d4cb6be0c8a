"""Reads Renode's binary execution trace: the address of every instruction, and what memory it accessed.

Format: renode tools/execution_tracer/execution_tracer_reader.py. A record is an address, then any number of accesses
(a type byte and a payload), then a zero byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.errors import EmulationError

_SIGNATURE: Final = b"ReTrace"
_HEADER_BYTES: Final = len(_SIGNATURE) + 3
_ADDRESS_BYTES: Final = 4
# Payload of an access by format version: kind, address (in version 4 also its translation), value (from 3 on).
_ACCESS_BYTES: Final = {2: 9, 3: 17, 4: 25}
_CHUNK_BYTES: Final = 1 << 20
_WRITE_KINDS: Final = (1, 3)
_FETCH_KIND: Final = 4


@dataclass(frozen=True)
class Trace:
    """A stretch of a run.

    Attributes:
        addresses: uint32 [instructions], in order of execution.
        access_index: int64 [n], index of an instruction that accessed memory; rising.
        access_address: uint32 [n], lowest address of its first access.
        access_writes: bool [n].
    """

    addresses: NDArray[np.uint32]
    access_index: NDArray[np.int64]
    access_address: NDArray[np.uint32]
    access_writes: NDArray[np.bool_]


def read_trace(path: Path) -> Trace:
    """Read a trace file of format PC, binary.

    Raises:
        EmulationError: not such a file, or one that ends in the middle.
    """
    parts: list[Trace] = []
    read = 0
    try:
        with path.open("rb") as file:
            pattern = _record_pattern(file.read(_HEADER_BYTES), path)
            rest = b""
            while chunk := file.read(_CHUNK_BYTES):
                part, rest = _parse(rest + chunk, pattern)
                parts.append(part)
                read += len(part.addresses)
    except OSError as exc:
        raise EmulationError(f"{path.name}: Renode's trace cannot be read: {exc.strerror or exc}") from exc
    if rest:
        raise EmulationError(f"{path.name}: Renode's trace is damaged behind instruction {read}: {rest[:16].hex()}")
    return _joined(parts)


def _record_pattern(header: bytes, path: Path) -> re.Pattern[bytes]:
    if len(header) != _HEADER_BYTES or not header.startswith(_SIGNATURE):
        raise EmulationError(f"{path.name}: not a trace of Renode: {header.hex()}")
    version, width, opcodes = header[len(_SIGNATURE) :]
    if version not in _ACCESS_BYTES or width != _ADDRESS_BYTES or opcodes:
        raise EmulationError(
            f"{path.name}: a trace of version {version} with {width}-byte addresses and opcodes {opcodes}; "
            f"known are versions {', '.join(map(str, _ACCESS_BYTES))} with {_ADDRESS_BYTES}-byte addresses alone",
            hint="docs/renode.md lists the versions of Renode that are known to work",
        )
    # The last alternative takes whatever is no complete record, so that matches leave no gap.
    return re.compile(rb"(.{4})((?:\x01.{%d})*)\x00|(.+)" % _ACCESS_BYTES[version], re.DOTALL)


def _parse(data: bytes, pattern: re.Pattern[bytes]) -> tuple[Trace, bytes]:
    """(complete records, bytes behind them)."""
    records = pattern.findall(data)
    rest: bytes = records.pop()[2] if records and records[-1][2] else b""
    addresses = np.frombuffer(b"".join([record[0] for record in records]), "<u4")
    accesses = [(index, record[1]) for index, record in enumerate(records) if record[1]]
    heads = np.frombuffer(b"".join([text[:10] for _, text in accesses]), np.uint8).reshape(-1, 10)
    index = np.array([number for number, _ in accesses], np.int64)
    address = np.ascontiguousarray(heads[:, 6:10]).view(">u4").astype(np.uint32).reshape(-1)
    data_access = heads[:, 1] != _FETCH_KIND
    writes = np.isin(heads[:, 1], _WRITE_KINDS)
    return Trace(addresses, index[data_access], address[data_access], writes[data_access]), rest


def _joined(parts: list[Trace]) -> Trace:
    starts = np.cumsum([0, *(len(part.addresses) for part in parts)])
    if not parts:
        nothing = np.zeros(0, np.uint32)
        parts = [Trace(nothing, np.zeros(0, np.int64), nothing, np.zeros(0, np.bool_))]
    return Trace(
        np.concatenate([part.addresses for part in parts]),
        np.concatenate([part.access_index + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.access_address for part in parts]),
        np.concatenate([part.access_writes for part in parts]),
    )
