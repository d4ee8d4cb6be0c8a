"""What crest_nn.h declares, read from the header itself: structs with their layout, kernels with their parameters."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from crest.assets import asset_path

# The sizes of C types, which are their alignments on every machine here too, and their codes for ``struct``.
_SCALARS = {
    "int8_t": (1, "b"), "uint8_t": (1, "B"), "int16_t": (2, "h"), "uint16_t": (2, "H"), "int32_t": (4, "i"),
    "uint32_t": (4, "I"), "int64_t": (8, "q"), "float": (4, "f"),
}  # fmt: skip
_COMMENT = re.compile(r"/\*.*?\*/|^#.*?$", re.DOTALL | re.MULTILINE)
_STRUCT = re.compile(r"typedef struct \{(.*?)\} (\w+);", re.DOTALL)
_KERNEL = re.compile(r"void (crest_\w+)\(([^)]*)\);")
_NAME = re.compile(r"(\**)\s*(\w+)(?:\[(\d+)\])?$")


@dataclass(frozen=True)
class Field:
    """A member of a struct; ``c_type`` is "pointer" for pointers of any kind, ``count`` is None unless an array."""

    name: str
    c_type: str
    count: int | None


@dataclass(frozen=True)
class Declarations:
    """The header: fields by struct, types of the parameters by kernel ("pointer" for pointers of any kind)."""

    structs: Mapping[str, tuple[Field, ...]]
    kernels: Mapping[str, tuple[str, ...]]

    def size(self, c_type: str, pointer_bytes: int) -> tuple[int, int]:
        """Bytes and alignment of a type on a machine with such pointers."""
        if c_type == "pointer":
            return pointer_bytes, pointer_bytes
        if c_type in _SCALARS:
            return _SCALARS[c_type][0], _SCALARS[c_type][0]
        at, alignment = 0, 1
        for field, offset in self.offsets(c_type, pointer_bytes):
            size, needed = self.size(field.c_type, pointer_bytes)
            at, alignment = offset + size * (1 if field.count is None else field.count), max(alignment, needed)
        return at + -at % alignment, alignment

    def offsets(self, name: str, pointer_bytes: int) -> list[tuple[Field, int]]:
        """Fields of a struct and where they lie."""
        placed, at = [], 0
        for field in self.structs[name]:
            size, alignment = self.size(field.c_type, pointer_bytes)
            at += -at % alignment
            placed.append((field, at))
            at += size * (1 if field.count is None else field.count)
        return placed

    def pack(self, c_type: str, value: Any, pointer_bytes: int, address: Callable[[str], int]) -> bytes:
        """The bytes of a value as an initialiser of a kernel call says it; what is left out is zero."""
        if c_type == "pointer":
            return address(value.removeprefix("@")).to_bytes(pointer_bytes, "little")
        if c_type in _SCALARS:
            return struct.pack(f"<{_SCALARS[c_type][1]}", value)
        packed = bytearray(self.size(c_type, pointer_bytes)[0])
        unknown = set(value) - {field.name for field in self.structs[c_type]}
        assert not unknown, f"{c_type} has no {unknown}"
        for field, offset in self.offsets(c_type, pointer_bytes):
            if field.name not in value:
                continue
            items = [value[field.name]] if field.count is None else value[field.name]
            assert field.count is None or len(items) <= field.count
            content = b"".join(self.pack(field.c_type, item, pointer_bytes, address) for item in items)
            packed[offset : offset + len(content)] = content
        return bytes(packed)

    def pack_array(self, c_type: str, values: np.ndarray) -> bytes:
        """The bytes of a constant array; a row holds the fields of a struct."""
        types = [field.c_type for field in self.structs[c_type]] if c_type in self.structs else [c_type]
        columns = values.reshape(-1, len(types))
        record = np.zeros(len(columns), np.dtype([(str(i), f"<{_dtype(name)}") for i, name in enumerate(types)], True))
        for number in range(len(types)):
            record[str(number)] = columns[:, number]
            assert (record[str(number)] == columns[:, number]).all(), f"a {c_type} does not hold its value"
        return record.tobytes()


def _dtype(c_type: str) -> str:
    size, code = _SCALARS[c_type]
    return f"{'f' if code == 'f' else 'i' if code.islower() else 'u'}{size}"


@cache
def declarations() -> Declarations:
    text = _COMMENT.sub("", (asset_path("firmware", "nn") / "crest_nn.h").read_text(encoding="utf-8"))
    structs = {name: tuple(_fields(body)) for body, name in _STRUCT.findall(text)}
    kernels = {
        name: tuple(_parameter(item) for item in parameters.split(","))
        for name, parameters in _KERNEL.findall(text)
        if name != "crest_layer_mark"
    }
    return Declarations(structs, kernels)


def _fields(body: str):
    for line in filter(None, (line.strip() for line in body.split(";"))):
        words = line.removeprefix("const ").split(None, 1)
        for item in words[1].split(","):
            stars, name, count = _NAME.search(item.strip()).groups()
            yield Field(name, "pointer" if stars else words[0], int(count) if count else None)


def _parameter(item: str) -> str:
    return "pointer" if "*" in item else item.split()[-2]
