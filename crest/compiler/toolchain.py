"""Cross-compilers: zig (from its wheel, the default) and GCC for Arm, with flags of the user's, behind one contract.

Their identity is part of every measurement; objects that do not depend on the candidate are compiled once and cached.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from crest.assets import cache_dir
from crest.errors import CapacityError, ToolchainError
from crest.targets import Target

COMPILE_TIMEOUT_S: Final = 300
# What generated code is compiled with where its layers are to be told apart.
MEASURE: Final = ("CREST_MEASURE",)
_COMMON: Final = (
    "-std=c11", "-O2", "-g0", "-ffunction-sections", "-fdata-sections", "-fno-common", "-fomit-frame-pointer",
    "-ffp-contract=off", "-Wall", "-Wextra",
)  # fmt: skip
# They would stop the compiler early, hide the layers or the memory of the firmware from what measures it, or bring in
# files that the identity of the compiler does not hold.
_REFUSED_FLAGS: Final = re.compile(
    r"@.*|-(c|S|E|M.*|o.*|x.*|s|r|T.*|pg|p|flto.*|fwhole-program|fprofile.*|fsanitize.*|include.*|imacros.*)"
)
_ZIG_CPU: Final = {
    ("cortex-m0plus", "none"): ("eabi", "cortex_m0plus"),
    ("cortex-m4", "none"): ("eabi", "cortex_m4"),
    ("cortex-m4", "single"): ("eabihf", "cortex_m4+vfp4d16sp"),
    ("cortex-m7", "none"): ("eabi", "cortex_m7"),
    ("cortex-m7", "single"): ("eabihf", "cortex_m7+fp_armv8d16sp"),
    ("cortex-m7", "double"): ("eabihf", "cortex_m7+fp_armv8d16"),
}
# No compiler tells its sources that it compiles for this core.
_ORDER_OF_INSTRUCTIONS: Final = {"cortex-m7": ["-DCREST_DUAL_ISSUE=1"]}
_GCC_FPU: Final = {
    ("cortex-m4", "single"): "fpv4-sp-d16",
    ("cortex-m7", "single"): "fpv5-sp-d16",
    ("cortex-m7", "double"): "fpv5-d16",
}


@dataclass(frozen=True)
class CompilerChoice:
    """Which compiler builds the firmware, and what it is told beyond our own flags.

    Attributes:
        cc: ``zig``, ``gcc`` (arm-none-eabi-gcc), or the command of a GCC for Arm.
        cflags: come behind our own flags, so that they win.
    """

    cc: str = "zig"
    cflags: tuple[str, ...] = ()


ZIG: Final = CompilerChoice()


class Toolchain:
    """A C compiler for one machine: compiles and links without a shell.

    Attributes:
        identity: what measurements name: compiler, version and ``cflags``.
        flags: of every compilation, with ``cflags`` in it.
        cflags: those of the user's.
    """

    def __init__(
        self,
        name: str,
        version: str,
        command: Sequence[str],
        machine: Sequence[str],
        link_flags: Sequence[str],
        cflags: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.identity = " ".join([f"{name} {version}", *cflags])
        self.cflags = tuple(cflags)
        self._command = tuple(command)
        self._machine = tuple(machine)
        # Warnings of flags that we did not choose are no fault. Debug sections would hold paths of this machine.
        self.flags = (*_COMMON, *machine, *(cflags or ("-Werror",)), "-g0")
        self.link_flags = tuple(link_flags)

    def with_flags(self, flags: Sequence[str]) -> Toolchain:
        """The same compiler, machine and ``cflags`` with other flags in the place of CREST's own.

        For sources that are not ours: their warnings are no errors.
        """
        other = copy.copy(self)
        other.flags = (*flags, *self._machine, *self.cflags, "-g0")
        return other

    def with_libraries(self, libraries: Sequence[str]) -> Toolchain:
        """The same compiler that also links libraries, such as ``-lm``."""
        other = copy.copy(self)
        other.link_flags = (*self.link_flags, *libraries)
        return other

    def compile(self, source: Path, output: Path, include: Sequence[Path], defines: Sequence[str] = ()) -> None:
        """Compile one file to an object."""
        search = [f"-I{path}" for path in include]
        self._run([*self.flags, *(f"-D{define}" for define in defines), *search, "-c", str(source)], output)

    def compile_cached(
        self, source: Path, include: Sequence[Path], defines: Sequence[str] = (), headers: str | None = None
    ) -> Path:
        """Compile a file that no candidate changes, once for these flags; returns the cached object.

        Args:
            source: the file.
            include: folders of headers.
            defines: preprocessor definitions.
            headers: identity of everything that the file may include; by default the files in ``include`` are read.
        """
        digest = hashlib.sha256("\n".join([self.identity, *self.flags, *defines, headers or ""]).encode())
        found = () if headers else sorted(path for folder in include for path in folder.glob("*.[ch]"))
        for path in (source, *found):
            digest.update(path.read_bytes())
        folder = cache_dir("objects", digest.hexdigest()[:24])
        kept = folder / f"{source.stem}.o"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                fresh = Path(scratch) / kept.name
                self.compile(source, fresh, include, defines)
                fresh.replace(kept)
        return kept

    def build(
        self,
        sources: Sequence[Path],
        objects: Sequence[Path],
        output: Path,
        include: Sequence[Path],
        defines: Sequence[str] = (),
        script: Path | None = None,
    ) -> None:
        """Compile what belongs to one candidate and link it with objects that do not.

        Args:
            sources: C files; each object carries the name of its file, by which a linker script can tell it.
            objects: from ``compile_cached``.
            output: the firmware, or, without a script, a shared library of the host; intermediate files lie beside it.
            include: folders of headers.
            defines: preprocessor definitions.
            script: linker script of the target.
        """
        fresh = [output.parent / f"{source.stem}.o" for source in sources]
        for source, compiled in zip(sources, fresh, strict=True):
            self.compile(source, compiled, include, defines)
        self.link([*objects, *fresh], output, script)

    def link(self, objects: Sequence[Path], output: Path, script: Path | None = None) -> None:
        """Link objects; with a script for a target, without one to a shared library of the host."""
        # Nothing is optimized here; zig takes -Os as a wish to lose the symbols, by which layers are found.
        flags = [flag for flag in self.flags if flag not in self.cflags or not flag.startswith("-O")]
        self._run([*flags, *map(str, objects), *self._link_arguments(script)], output)

    def _link_arguments(self, script: Path | None) -> list[str]:
        return [*self.link_flags, *(["-T", str(script)] if script else [])]

    def _run(self, arguments: list[str], output: Path, environment: Mapping[str, str] | None = None) -> None:
        command = [*self._command, *arguments, "-o", str(output)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=COMPILE_TIMEOUT_S,
                env={**os.environ, **self._environment(), **(environment or {})},
                check=False,
            )
        except FileNotFoundError as exc:
            raise ToolchainError(f"{self.name}: {exc.filename} is not installed", hint=_GCC_HINT) from exc
        except subprocess.TimeoutExpired as exc:
            raise ToolchainError(f"{self.name}: no answer within {COMPILE_TIMEOUT_S} s") from exc
        if done.returncode != 0:
            raise _failure(self.name, done.stderr)
        if not output.exists():
            raise ToolchainError(f"{self.name} wrote nothing", hint="some flag of yours makes it answer, not compile")

    def _environment(self) -> Mapping[str, str]:
        return {}


_ZIG_HINT: Final = "pip install ziglang==0.17.1"
_GCC_HINT: Final = "install arm-none-eabi-gcc with newlib and put it on PATH, or say `toolchain: zig`"


def _failure(name: str, stderr: str) -> ToolchainError | CapacityError:
    overflow = [line for line in stderr.splitlines() if "overflowed" in line or "will not fit in region" in line]
    if overflow:
        return CapacityError(
            f"the firmware does not fit: {overflow[0].strip()}", hint="a smaller model, or a larger board"
        )
    return ToolchainError(f"{name} failed: {stderr.strip()[-2000:] or 'no message'}")


def target_toolchain(cc: str, target: Target, cflags: Sequence[str] = ()) -> Toolchain:
    """The cross-compiler of a ``CompilerChoice``, set up for the core of a target.

    Raises:
        ToolchainError: it is not installed, is no compiler for Arm, or a flag would spoil the measurement.
    """
    for flag in cflags:
        if _REFUSED_FLAGS.fullmatch(flag) or not flag.isprintable():
            raise ToolchainError(
                f"{cc}: the flag {flag!r} is not possible here",
                hint="the firmware is compiled file by file and measured layer by layer",
            )
    return _zig_for(target, cflags) if cc == "zig" else _gcc_for(target, cc, cflags)


def host_toolchain() -> Toolchain:
    """A compiler for shared libraries on this machine."""
    # Symbols of the C library are left to the process that loads the library.
    link = ["-shared", "-nostdlib"]
    return _Zig("zig", _zig_version(), [*_zig_command(), "cc"], ["-fPIC", "-fno-sanitize=all"], link)


class _Zig(Toolchain):
    def build(
        self,
        sources: Sequence[Path],
        objects: Sequence[Path],
        output: Path,
        include: Sequence[Path],
        defines: Sequence[str] = (),
        script: Path | None = None,
    ) -> None:
        """All in one process, with a cache that goes with the folder: nobody compiles the same candidate again."""
        if any(flag.startswith("-O") for flag in self.cflags):
            # See ``link``.
            super().build(sources, objects, output, include, defines, script)
            return
        arguments = [*(f"-D{define}" for define in defines), *(f"-I{path}" for path in include)]
        arguments += [*map(str, (*objects, *sources)), *self._link_arguments(script)]
        self._run([*self.flags, *arguments], output, {"ZIG_LOCAL_CACHE_DIR": str(output.parent / "zig")})

    def _environment(self) -> Mapping[str, str]:
        zig_cache = str(cache_dir("zig"))
        return {"ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache}


def _zig_for(target: Target, cflags: Sequence[str]) -> Toolchain:
    abi, cpu = _ZIG_CPU[target.core, target.fpu]
    # -fhosted: freestanding code turns every 4-byte memcpy into a call.
    machine = ["-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}", "-fhosted", "-fno-sanitize=all"]
    machine += _ORDER_OF_INSTRUCTIONS.get(target.core, [])
    link = ["-Wl,--gc-sections", "-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=16"]
    return _Zig("zig", _zig_version(), [*_zig_command(), "cc"], machine, link, cflags)


def _gcc_for(target: Target, cc: str, cflags: Sequence[str]) -> Toolchain:
    if not cc.strip():
        raise ToolchainError("the name of the compiler is empty", hint=_GCC_HINT)
    command = "arm-none-eabi-gcc" if cc == "gcc" else str(Path(cc).expanduser())
    compiler = shutil.which(command)
    if compiler is None:
        problem = "cannot be run" if "/" in command else "is not on PATH"
        raise ToolchainError(f"{cc}: {command} {problem}", hint=_GCC_HINT)
    machine_name, version = (_answer(compiler, option) for option in ("-dumpmachine", "-dumpfullversion"))
    if not machine_name.startswith("arm") or not re.fullmatch(r"\d+(\.\d+)+", version):
        raise ToolchainError(
            f"{cc}: is no GCC for Arm (-dumpmachine says {machine_name or 'nothing'!r})",
            hint="name an arm-none-eabi-gcc, or say `toolchain: zig`",
        )
    fpu = _GCC_FPU.get((target.core, target.fpu))
    abi = ["-mfloat-abi=hard", f"-mfpu={fpu}"] if fpu else ["-mfloat-abi=soft"]
    machine = [f"-mcpu={target.core}", "-mthumb", *abi, *_ORDER_OF_INSTRUCTIONS.get(target.core, [])]
    link = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-Wl,-e,Reset_Handler"]
    return Toolchain(Path(command).name, version, [compiler], machine, link, cflags)


@cache
def _zig_command() -> tuple[str, ...]:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainError("zig: the ziglang wheel is not installed", hint=_ZIG_HINT)
    return (str(Path(spec.origin).parent / ("zig.exe" if os.name == "nt" else "zig")),)


@cache
def _zig_version() -> str:
    return importlib.metadata.version("ziglang")


@cache
def _answer(compiler: str, option: str) -> str:
    """What a compiler says about itself; nothing where it does not know the question."""
    try:
        done = subprocess.run([compiler, option], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
