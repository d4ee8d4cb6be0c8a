"""Stubs of peripherals for firmware that is not ours: fixed values, ready bits and text output, from a short YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crest.emulators.bus import Slot
from crest.emulators.devices import Registers
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.targets import Peripheral
from crest.yaml_io import load_yaml, validate

_Word = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
_Offset = Annotated[int, Field(ge=0, multiple_of=4)]


class StubPeripheral(Peripheral):
    """A peripheral as target files have them, storage with reset values and ready bits, and registers beyond that.

    Attributes:
        fixed: reads give this value, whatever was written.
        sequence: reads give one value after the other; the last one stays.
        output: bytes written are text of the firmware; reads give 0.
    """

    model: Literal["registers"] = "registers"
    base: _Word
    size_bytes: int = Field(default=0x1000, gt=0, le=1 << 30)
    fixed: dict[_Offset, _Word] = {}
    sequence: dict[_Offset, Annotated[tuple[_Word, ...], Field(min_length=1)]] = {}
    output: tuple[_Offset, ...] = ()

    @model_validator(mode="after")
    def _registers_are_one_thing_and_inside(self) -> StubPeripheral:
        special = [*self.fixed, *self.sequence, *self.output]
        for offset in (*special, *self.registers):
            if offset + 4 > self.size_bytes:
                raise ValueError(f"offset {offset:#x} lies outside of its {self.size_bytes:#x} bytes")
            if special.count(offset) > 1:
                raise ValueError(f"offset {offset:#x} is given twice among fixed, sequence and output")
        return self


class Stubs(Frozen):
    """A file of stubs."""

    peripherals: dict[str, StubPeripheral] = Field(min_length=1)


class StubDevice:
    """Registers that answer as a ``StubPeripheral`` says."""

    def __init__(self, stub: StubPeripheral) -> None:
        self._stub = stub
        self._storage = Registers(stub.registers, stub.follows, stub.follows_clear)
        self._left = {offset: list(values) for offset, values in stub.sequence.items()}
        self._text = bytearray()

    def read(self, offset: int, size: int) -> int:
        """Value of a register, or of the part of it that is accessed."""
        at = offset & ~3
        if at in self._stub.output:
            return 0
        if at in self._left:
            word = self._left[at].pop(0) if len(self._left[at]) > 1 else self._left[at][0]
        elif at in self._stub.fixed:
            word = self._stub.fixed[at]
        else:
            return self._storage.read(offset, size)
        return word >> 8 * (offset & 3) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Store a register, or take its lowest byte as text."""
        if offset & ~3 in self._stub.output:
            self._text.append(value & 0xFF)
        else:
            self._storage.write(offset, size, value)

    def take(self) -> bytes:
        """Text since the last call."""
        text = bytes(self._text)
        self._text.clear()
        return text


def load_stubs(path: Path) -> Stubs:
    """Read a file of stubs.

    Raises:
        AssetError: it is missing or malformed.
    """
    return validate(load_yaml(path, AssetError), Stubs, str(path), AssetError)


def stub_slots(stubs: Stubs) -> Iterator[Slot]:
    """Devices of the stubs for a bus, smaller ones first: they win over a larger one around them."""
    for name, stub in sorted(stubs.peripherals.items(), key=lambda item: item[1].size_bytes):
        yield Slot(name, stub.base, stub.base + stub.size_bytes, StubDevice(stub))
