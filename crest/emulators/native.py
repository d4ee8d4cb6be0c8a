"""Builds native hooks at first use, keeps them in the cache, and mirrors the state structure of the one that counts."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from crest.assets import asset_path, cache_dir
from crest.count_names import EVENT_COUNTS
from crest.errors import EmulationError, ToolchainError

BANKS: Final = 2
REGIONS_MAX: Final = 16
KINDS: Final = 3
EVENTS: Final = len(EVENT_COUNTS)

REASON_NONE: Final = 0
REASON_GUARD: Final = 1
REASON_SPIN: Final = 2
REASON_BAD_MARK: Final = 3
REASON_TABLE_FULL: Final = 4
REASON_STACK: Final = 5
# Control goes back to the caller: set by devices and by what traces calls, never by the profile hook.
REASON_PAUSE: Final = 16

_WARNINGS: Final = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
_FREESTANDING: Final = ("-nostdlib", "-ffreestanding", "-fno-builtin", "-fno-sanitize=all")
# For any processor of the architecture: the cache may outlive the machine, or be shared.
_FLAGS: Final = ("-O2", "-mcpu=baseline", "-shared", "-fPIC", *_FREESTANDING, *_WARNINGS)
_BUILD_TIMEOUT_S: Final = 300.0


class _Region(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_uint64), ("end", ctypes.c_uint64))


def words(*names: str) -> list[tuple[str, type[ctypes.c_uint64]]]:
    """Fields of 64 bits."""
    return [(name, ctypes.c_uint64) for name in names]


class Table(ctypes.Structure):
    """``table_t`` of ``emulation/native/profile_hook.c``."""

    _fields_ = tuple(words("slots", "capacity_log2", "used"))


class NativeCache(ctypes.Structure):
    """``cache_t`` of ``emulation/native/memory_system.h``."""

    _fields_ = tuple(words("line_log2", "sets", "ways", "tags"))


class NativeMemorySystem(ctypes.Structure):
    """``memory_system_t`` of ``emulation/native/memory_system.h``, which documents the fields."""

    _fields_ = (
        *words("enabled", "line_log2", "fetched_regions", "flash_regions", "cached_regions", "is_unified"),
        ("instruction", NativeCache),
        ("data", NativeCache),
        *words("fetch_line", "load_line"),
    )


class HookState(ctypes.Structure):
    """``state_t`` of ``emulation/native/profile_hook.c``, which documents the fields."""

    _fields_ = (
        *words("reg_read", "reg_write", "emu_stop", "register_r0", "register_epsr", "register_sp", "lazy_pc"),
        *words("mark_address", "layers_max", "guard_blocks", "reason"),
        *words("stack_limit", "stack_pointer"),
        *words("bad_mark", "halfwords", "last_address", "spins", "counting", "row", "previous_address"),
        *words("previous_size", "accesses", "bank", "windows"),
        ("opened_at", ctypes.c_uint64 * BANKS),
        ("closed_at", ctypes.c_uint64 * BANKS),
        *words("memory_enabled"),
        ("memory_counted", ctypes.c_uint64 * BANKS),
        ("rows_used", ctypes.c_uint64 * BANKS),
        ("edges", Table * BANKS),
        ("unaligned", Table * BANKS),
        ("memory", ctypes.c_uint64 * BANKS),
        ("events", ctypes.c_uint64 * BANKS),
        ("system", NativeMemorySystem),
        ("region_count", ctypes.c_uint64),
        ("regions", _Region * REGIONS_MAX),
    )


@functools.cache
def load_hooks() -> ctypes.CDLL:
    """Return the hook library: ``crest_block``, ``crest_memory``, ``crest_grow``.

    Raises:
        ToolchainError: it has to be built, and the compiler is absent or fails.
        EmulationError: its state structure is not ours.
    """
    library = load_library("profile_hook", HookState)
    library.crest_grow.restype = None
    library.crest_grow.argtypes = (ctypes.POINTER(Table), ctypes.c_uint64, ctypes.c_uint64)
    return library


def load_library(name: str, state: type[ctypes.Structure]) -> ctypes.CDLL:
    """Load ``emulation/native/<name>.c``, compiled, whose ``crest_state_size()`` must be that of ``state``.

    Raises:
        ToolchainError: it has to be built, and the compiler is absent or fails.
        EmulationError: its state structure is another one.
    """
    source = asset_path("emulation", "native", f"{name}.c")
    path = _library_path(source)
    if not path.exists():
        _build(source, path)
    try:
        library = ctypes.CDLL(str(path))
        library.crest_state_size.restype = ctypes.c_uint64
        size = library.crest_state_size()
    except (OSError, AttributeError) as exc:
        raise EmulationError(f"{path}: cannot be loaded: {exc}", hint="delete the file; it is rebuilt") from exc
    if size != ctypes.sizeof(state):
        raise EmulationError(f"{path}: its state has {size} bytes, expected {ctypes.sizeof(state)}")
    return library


def _library_path(source: Path) -> Path:
    try:
        compiler = version("ziglang")
    except PackageNotFoundError:
        raise ToolchainError("the compiler of the native hook is absent", hint="pip install ziglang") from None
    key = hashlib.sha256(source.read_bytes())
    for header in sorted(source.parent.glob("*.h")):
        key.update(header.read_bytes())
    key.update("\0".join((compiler, sys.platform, platform.machine(), *_FLAGS)).encode())
    return cache_dir("native") / f"{source.stem}-{key.hexdigest()[:16]}.so"


def _build(source: Path, path: Path) -> None:
    """Compile beside the final name and rename, so that two processes may build at once."""
    zig_cache = str(cache_dir("zig"))
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, str(source), "-o", str(built)]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ToolchainError(f"the native hook cannot be built: {exc}") from exc
        if done.returncode != 0:
            raise ToolchainError(
                f"the native hook cannot be built: {done.stderr.strip()[-2000:]}",
                hint="check `python -m ziglang version`",
            )
        built.replace(path)
