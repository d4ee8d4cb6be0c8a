"""One record as one line of JSON with its checksum, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from crest.ledger.records import VOLATILE, Record

_HEAD: Final = b'{"crc32":"%08x","record":'
_HEAD_BYTES: Final = len(_HEAD % 0)
_TAIL: Final = b"}\n"
_RECORD: Final[TypeAdapter[Record]] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


class LineDamagedError(ValueError):
    """A line whose bytes are not those that were written."""


class LineUnknownError(ValueError):
    """An intact line that holds no record of this version."""


def encode(record: Record) -> bytes:
    """The line of a record, newline included.

    Raises:
        ValueError: the record holds a number that JSON does not know (infinity, not-a-number).
    """
    payload = canonical_json(record.model_dump(mode="python")).encode()
    return _HEAD % zlib.crc32(payload) + payload + _TAIL


def decode(line: bytes) -> Record:
    """The record of a line, newline included.

    Raises:
        LineDamagedError: the checksum does not fit.
        LineUnknownError: the checksum fits, the content is not a record this version knows.
    """
    payload = line[_HEAD_BYTES : -len(_TAIL)]
    if line[:_HEAD_BYTES] != _HEAD % zlib.crc32(payload) or not line.endswith(_TAIL):
        raise LineDamagedError("the checksum does not fit its content")
    try:
        return _RECORD.validate_json(payload)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LineUnknownError(f"not a record this version knows: {place}: {first['msg']}") from exc


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses infinity and not-a-number with a ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content(records: Iterable[Record]) -> str:
    """What records say, one canonical JSON line each, without the fields that describe the moment or the machine."""
    return "".join(canonical_json(_without_volatile(record.model_dump(mode="python"))) + "\n" for record in records)


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_volatile(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, (list, tuple)):
        return [_without_volatile(item) for item in value]
    return value
