"""Targets: what a board is, read from ``emulation/targets/<name>.yaml``. No board fact lives in Python."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, PrivateAttr, model_validator

from crest.assets import asset_path
from crest.errors import AssetError, StudyError
from crest.frozen import Frozen
from crest.intervals import RelativeError
from crest.yaml_io import load_yaml, validate

CoreName = Literal["cortex-m0plus", "cortex-m4", "cortex-m7"]
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What a target may be called: the name is part of the names of files."""
_FPUS: Final[dict[str, tuple[str, ...]]] = {
    "cortex-m0plus": ("none",),
    "cortex-m4": ("none", "single"),
    "cortex-m7": ("none", "single", "double"),
}
RegionKind = Literal["flash", "sram", "itcm", "dtcm"]


class Region(Frozen):
    """A memory region."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    kind: RegionKind
    base: int = Field(ge=0)
    size_bytes: int = Field(gt=0)

    @model_validator(mode="after")
    def _addressable(self) -> Region:
        _check_span(self.base, self.size_bytes)
        return self

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.base + self.size_bytes


_Offset = Annotated[int, Field(ge=0, multiple_of=4)]
_Word = Annotated[int, Field(ge=0, lt=1 << 32)]
_Bit = Annotated[int, Field(ge=0, le=31)]
Follower = int | tuple[int, int]


class Peripheral(Frozen):
    """A peripheral that the firmware touches: which register model it follows, and where it sits."""

    model: str
    base: int = Field(ge=0, multiple_of=4)
    size_bytes: int = Field(gt=0)
    registers: dict[_Offset, _Word] = Field(default={}, description="model registers: reset values by offset")
    follows: dict[_Offset, dict[_Bit, _Bit | tuple[_Offset, _Bit]]] = Field(
        default={},
        description="model registers: {offset: {bit: the ready bit that follows it, or [offset, bit] elsewhere}}",
    )
    follows_clear: dict[_Offset, dict[_Bit, _Bit | tuple[_Offset, _Bit]]] = Field(
        default={}, description="as follows: the ready bit is set while the bit is clear (a reset, a power-down)"
    )
    interrupt: int | None = Field(default=None, ge=0, le=239, description="models of timers: number of its interrupt")
    counts_hz: float | None = Field(
        default=None,
        gt=0,
        description="models of timers: frequency of an oscillator of its own, which runs on in deep sleep",
    )
    core_cycles_per_count: int | None = Field(
        default=None, ge=1, description="models of timers that count the clock of the core, which stops in deep sleep"
    )

    @model_validator(mode="after")
    def _registers_are_inside(self) -> Peripheral:
        _check_span(self.base, self.size_bytes)
        rules = (*self.follows.items(), *self.follows_clear.items())
        named = {*self.registers, *(offset for offset, _ in rules)}
        named |= {flag[0] for _, flags in rules for flag in flags.values() if not isinstance(flag, int)}
        if beyond := [offset for offset in sorted(named) if offset >= self.size_bytes]:
            raise ValueError(f"register {beyond[0]:#x} lies beyond the {self.size_bytes:#x} bytes of the peripheral")
        return self


class Supply(Frozen):
    """Supply conditions of the board's MCU rail."""

    volt: float = Field(gt=0, allow_inf_nan=False)
    regulator: str


class Cache(Frozen):
    """Geometry of a cache that replaces the least recently used line of a set; ``ways == lines``: fully associative."""

    line_bytes: int = Field(ge=4, le=4096)
    lines: int = Field(gt=0, le=1 << 16)
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

    line_bytes: int = Field(ge=4, le=4096)
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


def _check_span(base: int, size_bytes: int) -> None:
    if base + size_bytes > 1 << 32:
        raise ValueError(f"{size_bytes:#x} bytes at {base:#x} reach beyond the 32-bit addresses")


class StallFactor(Frozen):
    """How much longer programs take than on memories that never make the core wait, over all its clocks."""

    value: float = Field(ge=1, le=100)
    low: float = Field(ge=1, le=100)
    high: float = Field(ge=1, le=100)
    confidence: float = Field(gt=0, lt=1)
    kind: Literal["declared", "fit"] = "declared"
    candidate_error: RelativeError | None = Field(
        default=None, description="of the cycles of one program against those of others, where it is known"
    )
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> StallFactor:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value:g} lies outside of [{self.low:g}, {self.high:g}]")
        return self

    def scaled(self, share: float | None) -> StallFactor:
        """The factor where that share of the waiting is left, 1 for all; None: it is not known how much."""
        if share == 1:
            return self
        left = "an unknown part" if share is None else f"{share:.0%}"
        return self.model_copy(
            update={
                "low": 1 + (self.low - 1) * (share or 0),
                "value": self.value if share is None else 1 + (self.value - 1) * share,
                "kind": "declared",
                "reason": f"{self.reason} At this clock {left} of the wait states is left.",
            }
        )


class Preferences(Frozen):
    """Regions to which ``placement: auto`` may move a part of a model, best first; none leaves it where it is."""

    code: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    arena: tuple[str, ...] = ()


class Sources(Frozen):
    """Where the facts of a target come from."""

    facts: tuple[str, ...]


class Target(Frozen):
    """An emulated or physical board."""

    name: str = Field(pattern=NAME_PATTERN, description="how commands and records name the board")
    description: str = Field(description="the board for people: its product name and its microcontroller")
    mcu: str = Field(description="the microcontroller")
    core: CoreName = Field(description="cortex-m0plus, cortex-m4 or cortex-m7")
    fpu: Literal["none", "single", "double"] = Field(description="none, single or double precision")
    multiplier_cycles: Literal[1, 32] = Field(
        default=1,
        description="of MULS on a cortex-m0plus, whose implementer chooses between a fast and a small multiplier",
    )
    clock_mhz: tuple[Annotated[float, Field(gt=0, le=10_000)], ...] = Field(
        min_length=1, description="clocks of the core that the firmware can set; prices are made at the fastest"
    )
    supply: Supply = Field(description="what the energy model must hold for: volts on the MCU's rail, regulator mode")
    regions: tuple[Region, ...] = Field(
        description="memories, in whole pages of 4096 bytes; kind is flash, sram, itcm or dtcm"
    )
    code_region: str = Field(description="the region that code and weights lie in")
    data_region: str = Field(description="the region that arena, statics and stack lie in")
    fetch_stall_factor: StallFactor = Field(
        description="how much longer programs take than on memories that never make the core wait, and why"
    )
    wait_states: dict[Annotated[int, Field(gt=0)], Annotated[int, Field(ge=0)]] = Field(
        default={}, description="of flash, by the fastest clock in MHz that they serve at this supply"
    )
    fetch_stall_factor_in: dict[str, StallFactor] = Field(
        default={}, description="the same, by region, for code that lies elsewhere than in code_region"
    )
    auto_placement: Preferences = Field(default=Preferences(), description="where `placement: auto` may move parts")
    memory_geometry: MemoryGeometry | None = Field(
        default=None,
        description="lines and caches between core and memories, by which the emulator counts their events",
    )
    reserved_flash_bytes: int = Field(default=0, ge=0, description="bytes at the start of flash kept by a bootloader")
    reserved_ram_bytes: int = Field(default=0, ge=0, description="bytes at the start of RAM kept by the vendor")
    uart: str = Field(description="the peripheral that carries the measuring protocol")
    peripherals: dict[str, Peripheral] = Field(
        description="what the firmware touches: register model, place, and registers that do not read as zero"
    )
    firmware_board: str = Field(
        description="folder of the board's start-up code, beside this file or among firmware/boards of CREST"
    )
    sources: Sources = Field(description="where these facts come from: document and page, header, published figure")

    _folder: Path | None = PrivateAttr(default=None)
    _clocks_mhz: tuple[float, ...] = PrivateAttr(default=())

    @property
    def folder(self) -> Path | None:
        """Where the target's file lies, for a target of the user's; None for one that ships."""
        return self._folder

    @property
    def board_folders(self) -> tuple[Path, ...]:
        """Folders of C sources: that of ``firmware_board``, then those around it, which hold what its family shares.

        It is looked for beside a target of the user's, then among those that ship.

        Raises:
            AssetError: there is no such folder.
        """
        shipped = asset_path("firmware", "boards")
        roots = [shipped] if self._folder is None else [self._folder, shipped]
        for root in roots:
            folder = root / self.firmware_board
            if folder.is_dir():
                return (folder, *(parent for parent in folder.parents if root in parent.parents))
        places = " nor ".join(str(root / self.firmware_board) for root in roots)
        raise AssetError(
            f"target {self.name}: firmware_board: there is no folder {places}",
            hint=f"`crest target new {self.name} --from {target_names()[0]}` starts one",
        )

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        problems = [*_overlaps(self.regions, self.peripherals), *_repeated(region.name for region in self.regions)]
        if problems:
            raise ValueError("; ".join(problems))
        for name, reserved in (
            (self.code_region, self.reserved_flash_bytes),
            (self.data_region, self.reserved_ram_bytes),
        ):
            if reserved >= self.region(name).size_bytes:
                raise ValueError(f"region {name!r} is smaller than what is reserved of it")
        if self.memory_geometry is not None:
            for name in self.memory_geometry.cached_regions:
                self.region(name)
        if self.multiplier_cycles != 1 and self.core != "cortex-m0plus":
            raise ValueError(f"a {self.core} multiplies in one cycle: multiplier_cycles is for the cortex-m0plus")
        if self.fpu not in _FPUS[self.core]:
            raise ValueError(f"a {self.core} has no FPU {self.fpu!r} (one of {', '.join(_FPUS[self.core])})")
        if self.uart not in self.peripherals:
            raise ValueError(f"uart {self.uart!r} is not among the peripherals")
        return self

    @model_validator(mode="after")
    def _places_exist(self) -> Target:
        preferred = (*self.auto_placement.code, *self.auto_placement.weights, *self.auto_placement.arena)
        for name in (*preferred, *self.fetch_stall_factor_in):
            self.region(name)
        for name in self.auto_placement.code:
            if name not in (self.code_region, *self.fetch_stall_factor_in):
                raise ValueError(f"auto_placement: code: fetch_stall_factor_in says nothing of {name}")
        if self.region(self.code_region).kind != "flash" or self.region(self.data_region).kind == "flash":
            raise ValueError("code_region is a flash, and data_region is none")
        states = [self.wait_states[limit] for limit in sorted(self.wait_states)]
        if states != sorted(states):
            raise ValueError("wait_states: a faster clock needs no fewer of them")
        for name in self.auto_placement.arena:
            if self.region(name).kind == "flash":
                raise ValueError(f"auto_placement: arena: {name} is flash, and activations are written")
        return self

    def region(self, name: str) -> Region:
        """The region of that name."""
        for region in self.regions:
            if region.name == name:
                return region
        raise ValueError(f"no memory region named {name!r}")

    def at(self, clock_mhz: float | None) -> Target:
        """This board at one of its clocks; by default the fastest.

        Stall factors are stated for the fastest clock: with fewer wait states they shrink as these do, and keep their
        upper end.

        Raises:
            StudyError: it has no such clock.
        """
        fastest_mhz = max(self.clock_mhz)
        clock_mhz = fastest_mhz if clock_mhz is None else clock_mhz
        if clock_mhz not in self.clock_mhz:
            raise StudyError(
                f"{self.name} has no clock of {clock_mhz} MHz",
                hint=f"clocks: {', '.join(f'{clock:g}' for clock in self.clock_mhz)} MHz",
            )
        if len(self.clock_mhz) == 1:
            return self
        now, then = self.flash_wait_states(clock_mhz), self.flash_wait_states(fastest_mhz)
        share = 1.0 if clock_mhz == fastest_mhz else now / then if now is not None and then else None
        alone = self.model_copy(
            update={
                "clock_mhz": (clock_mhz,),
                "fetch_stall_factor": self.fetch_stall_factor.scaled(share),
                "fetch_stall_factor_in": {n: factor.scaled(share) for n, factor in self.fetch_stall_factor_in.items()},
            }
        )
        alone._clocks_mhz = self.clock_mhz
        return alone

    @property
    def every_clock_mhz(self) -> tuple[float, ...]:
        """The clocks of the board, also where this is the board at one of them."""
        return self._clocks_mhz or self.clock_mhz

    def flash_wait_states(self, clock_mhz: float) -> int | None:
        """Wait states of flash at a clock; None where the target does not say."""
        return next((self.wait_states[limit] for limit in sorted(self.wait_states) if clock_mhz <= limit), None)

    @property
    def flash(self) -> Region:
        """Where code and weights lie."""
        return self.region(self.code_region)

    @property
    def ram(self) -> Region:
        """Where arena, statics and stack lie."""
        return self.region(self.data_region)

    def origin(self, name: str) -> int:
        """First address of a region that is not reserved by the vendor."""
        reserved = {self.code_region: self.reserved_flash_bytes, self.data_region: self.reserved_ram_bytes}
        return self.region(name).base + reserved.get(name, 0)

    def available_bytes(self, name: str) -> int:
        """Bytes of a region that are not reserved by the vendor."""
        return self.region(name).end - self.origin(name)

    @property
    def flash_available_bytes(self) -> int:
        """Flash left beside what the vendor's bootloader reserves."""
        return self.available_bytes(self.code_region)

    @property
    def ram_available_bytes(self) -> int:
        """RAM for statics and stack left beside what the vendor reserves."""
        return self.available_bytes(self.data_region)


def _overlaps(regions: tuple[Region, ...], peripherals: dict[str, Peripheral]) -> Iterator[str]:
    """What lies where something else lies, by name and address."""
    spans = [(region.base, region.end, f"region {region.name!r}") for region in regions]
    spans += [(p.base, p.base + p.size_bytes, f"peripheral {name!r}") for name, p in peripherals.items()]
    reach, owner = 0, ""
    for base, end, name in sorted(spans):
        if base < reach:
            yield f"{name} at {base:#010x} lies inside {owner}, which reaches to {reach:#010x}"
        if end > reach:
            reach, owner = end, name


def _repeated(names: Iterable[str]) -> Iterator[str]:
    return (f"there are {count} regions named {name!r}" for name, count in Counter(names).items() if count > 1)


def target_names() -> list[str]:
    """Names of all targets that ship, sorted."""
    return sorted(path.stem for path in asset_path("emulation", "targets").glob("*.yaml"))


def target_path(name_or_path: str) -> Path:
    """The YAML file of a target that ships, by name, or of one of the user's.

    Raises:
        StudyError: no target of that name; the hint lists those that exist.
    """
    if _is_file(name_or_path):
        return Path(name_or_path)
    names = target_names()
    if name_or_path not in names:
        close = difflib.get_close_matches(name_or_path, names, n=1)
        raise StudyError(
            f"unknown target {name_or_path!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"targets: {', '.join(names)}; or give the path of a .yaml",
        )
    return asset_path("emulation", "targets", f"{name_or_path}.yaml")


def load_target(name_or_path: str) -> Target:
    """Read a target by name, or from a YAML file of the user's.

    Raises:
        StudyError: no target of that name; the hint lists those that exist.
        AssetError: the file is malformed, or its firmware_board does not exist.
    """
    path = target_path(name_or_path)
    target = validate(load_yaml(path, AssetError), Target, str(path), AssetError)
    if _is_file(name_or_path):
        target._folder = path.resolve().parent
    _ = target.board_folders  # that it exists should be known before anything is built
    return target


def _is_file(name_or_path: str) -> bool:
    return Path(name_or_path).suffix == ".yaml"
