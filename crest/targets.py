"""Targets: what a board is, read from ``emulation/targets/<name>.yaml``. No board fact lives in Python."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, PrivateAttr, model_validator

from crest.assets import asset_path
from crest.errors import AssetError, StudyError
from crest.frozen import Frozen
from crest.yaml_io import load_yaml, validate

CoreName = Literal["cortex-m0plus", "cortex-m4", "cortex-m7"]
_FPUS: Final[dict[str, tuple[str, ...]]] = {
    "cortex-m0plus": ("none",),
    "cortex-m4": ("none", "single"),
    "cortex-m7": ("none", "single", "double"),
}
RegionKind = Literal["flash", "sram", "itcm", "dtcm"]


class Region(Frozen):
    """A memory region."""

    name: str
    kind: RegionKind
    base: int
    size_bytes: int = Field(gt=0)

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.base + self.size_bytes


class Peripheral(Frozen):
    """A peripheral that the firmware touches: which register model it follows, and where it sits."""

    model: str
    base: int
    size_bytes: int = Field(gt=0)
    registers: dict[int, int] = {}


class Supply(Frozen):
    """Supply conditions of the board's MCU rail."""

    volt: float
    regulator: str


class Cache(Frozen):
    """Geometry of a cache that replaces the least recently used line of a set; ``ways == lines``: fully associative."""

    line_bytes: int = Field(ge=4)
    lines: int = Field(gt=0)
    ways: int = Field(gt=0)

    @model_validator(mode="after")
    def _is_a_cache(self) -> Cache:
        sets, rest = divmod(self.lines, self.ways)
        if rest or not sets or sets & (sets - 1) or self.line_bytes & (self.line_bytes - 1):
            raise ValueError("line_bytes and lines / ways must be powers of two")
        return self


class MemoryGeometry(Frozen):
    """What decides which events of the memory system an engine counts (``EVENT_COUNTS`` of an execution profile).

    Attributes:
        line_bytes: what flash delivers at once; not more than a line of a cache.
        instruction_cache: what code from flash, and from cached regions, goes through.
        data_cache: what data of the cached regions goes through; stores allocate, lines are written back.
        unified: data goes through the instruction cache, too.
        cached_regions: names of the regions whose data is cached; flash is among them only when it is named.
    """

    line_bytes: int = Field(ge=4)
    instruction_cache: Cache | None = None
    data_cache: Cache | None = None
    unified: bool = False
    cached_regions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> MemoryGeometry:
        caches = [cache for cache in (self.instruction_cache, self.data_cache) if cache is not None]
        if self.line_bytes & (self.line_bytes - 1) or any(cache.line_bytes < self.line_bytes for cache in caches):
            raise ValueError("line_bytes must be a power of two, and not more than a line of a cache")
        if self.unified and (self.instruction_cache is None or self.data_cache is not None):
            raise ValueError("a unified cache is given as instruction_cache alone")
        return self


class StallFactor(Frozen):
    """How much longer programs take than on memories that never make the core wait, over all its clocks."""

    value: float = Field(ge=1)
    low: float = Field(ge=1)
    high: float = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> StallFactor:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value:g} lies outside of [{self.low:g}, {self.high:g}]")
        return self


class Sources(Frozen):
    """Where the facts of a target come from."""

    facts: tuple[str, ...]


class Target(Frozen):
    """An emulated or physical board."""

    name: str
    description: str
    mcu: str
    core: CoreName
    fpu: Literal["none", "single", "double"]
    clock_mhz: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(min_length=1)
    supply: Supply
    regions: tuple[Region, ...]
    code_region: str
    data_region: str
    fetch_stall_factor: StallFactor
    memory_geometry: MemoryGeometry | None = None
    reserved_flash_bytes: int = Field(default=0, ge=0, description="bytes at the start of flash kept by a bootloader")
    reserved_ram_bytes: int = Field(default=0, ge=0, description="bytes at the start of RAM kept by the vendor")
    uart: str
    peripherals: dict[str, Peripheral]
    firmware_board: str
    sources: Sources

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the target's file lies, for a target of the user's; None for one that ships."""
        return self._folder

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        for name, reserved in (
            (self.code_region, self.reserved_flash_bytes),
            (self.data_region, self.reserved_ram_bytes),
        ):
            if reserved >= self.region(name).size_bytes:
                raise ValueError(f"region {name!r} is smaller than what is reserved of it")
        if self.memory_geometry is not None:
            for name in self.memory_geometry.cached_regions:
                self.region(name)
        if self.fpu not in _FPUS[self.core]:
            raise ValueError(f"a {self.core} has no FPU {self.fpu!r} (one of {', '.join(_FPUS[self.core])})")
        if not asset_path("firmware", "boards").joinpath(self.firmware_board).is_dir():
            raise ValueError(f"firmware_board: there is no folder firmware/boards/{self.firmware_board}")
        if self.uart not in self.peripherals:
            raise ValueError(f"uart {self.uart!r} is not among the peripherals")
        return self

    def region(self, name: str) -> Region:
        """The region of that name."""
        for region in self.regions:
            if region.name == name:
                return region
        raise ValueError(f"no memory region named {name!r}")

    @property
    def flash(self) -> Region:
        """Where code and weights lie."""
        return self.region(self.code_region)

    @property
    def ram(self) -> Region:
        """Where arena, statics and stack lie."""
        return self.region(self.data_region)

    @property
    def flash_available_bytes(self) -> int:
        """Flash left beside what the vendor's bootloader reserves."""
        return self.flash.size_bytes - self.reserved_flash_bytes

    @property
    def ram_available_bytes(self) -> int:
        """RAM left beside what the vendor reserves."""
        return self.ram.size_bytes - self.reserved_ram_bytes


def target_names() -> list[str]:
    """Names of all targets that ship, sorted."""
    return sorted(path.stem for path in asset_path("emulation", "targets").glob("*.yaml"))


def load_target(name_or_path: str) -> Target:
    """Read a target by name, or from a YAML file of the user's.

    Raises:
        StudyError: no target of that name; the hint lists those that exist.
        AssetError: the file is malformed.
    """
    path = Path(name_or_path)
    if path.suffix == ".yaml":
        target = validate(load_yaml(path, AssetError), Target, str(path), AssetError)
        target._folder = path.resolve().parent
        return target
    names = target_names()
    if name_or_path not in names:
        close = difflib.get_close_matches(name_or_path, names, n=1)
        raise StudyError(
            f"unknown target {name_or_path!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"targets: {', '.join(names)}; or give the path of a .yaml",
        )
    path = asset_path("emulation", "targets", f"{name_or_path}.yaml")
    return validate(load_yaml(path, AssetError), Target, str(path), AssetError)
