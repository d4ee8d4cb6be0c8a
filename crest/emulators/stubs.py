"""Stubs of peripherals for firmware that is not ours: fixed values, ready bits and text output, from a short YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from crest.emulators.bus import Slot
from crest.emulators.devices import Registers
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.yaml_io import load_yaml, validate

_WORD_MAX: Final = 0xFFFFFFFF
Word = Annotated[int, Field(ge=0, le=_WORD_MAX)]


class StubRegister(Frozen):
    """What a register answers; one of the first three, or storage that starts at ``reset``.

    Attributes:
        value: every read gives it.
        sequence: reads give one after the other; the last one stays.
        output: bytes written are text of the firmware; reads give 0.
        reset: what storage holds before it is written.
        ready: masks, bits by bits: while all bits of the first are set in storage, reads have the second set, too.
    """

    value: Word | None = None
    sequence: tuple[Word, ...] = ()
    output: bool = False
    reset: Word = 0
    ready: dict[Word, Word] = {}

    @model_validator(mode="after")
    def _is_one_thing(self) -> StubRegister:
        kinds = [self.value is not None, bool(self.sequence), self.output, bool(self.ready or self.reset)]
        if sum(kinds) > 1:
            raise ValueError("give one of value, sequence, output, and storage with reset and ready")
        return self


def _number_is_value(given: Any) -> Any:
    return {"value": given} if isinstance(given, int) and not isinstance(given, bool) else given


class StubPeripheral(Frozen):
    """A peripheral; registers that are not named are storage that starts at 0."""

    base: Word
    size_bytes: int = Field(default=0x1000, gt=0, le=1 << 30)
    registers: dict[Word, Annotated[StubRegister, BeforeValidator(_number_is_value)]] = {}

    @model_validator(mode="after")
    def _registers_lie_inside(self) -> StubPeripheral:
        for offset in self.registers:
            if offset % 4 or offset + 4 > self.size_bytes:
                raise ValueError(f"registers.{offset:#x}: not a word within {self.size_bytes:#x} bytes")
        return self


class Stubs(Frozen):
    """A file of stubs."""

    peripherals: dict[str, StubPeripheral] = Field(min_length=1)


class StubDevice:
    """Registers that answer as a ``StubPeripheral`` says."""

    def __init__(self, stub: StubPeripheral) -> None:
        self._registers = stub.registers
        self._storage = Registers({offset: register.reset for offset, register in stub.registers.items()})
        self._left = {offset: list(register.sequence) for offset, register in stub.registers.items()}
        self._text = bytearray()

    def read(self, offset: int, size: int) -> int:
        """Value of a register, or of the part of it that is accessed."""
        word = self._word(offset & ~3)
        return word >> 8 * (offset & 3) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Store a register, or take its lowest byte as text."""
        register = self._registers.get(offset & ~3)
        if register is not None and register.output:
            self._text.append(value & 0xFF)
        else:
            self._storage.write(offset, size, value)

    def take(self) -> bytes:
        """Text since the last call."""
        text = bytes(self._text)
        self._text.clear()
        return text

    def _word(self, offset: int) -> int:
        register = self._registers.get(offset)
        if register is None:
            return self._storage.read(offset, 4)
        if register.output:
            return 0
        if register.value is not None:
            return register.value
        if left := self._left[offset]:
            return left.pop(0) if len(left) > 1 else left[0]
        word = self._storage.read(offset, 4)
        for enabled, ready in register.ready.items():
            if word & enabled == enabled:
                word |= ready
        return word


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
