"""Cross-compilers: zig (from its wheel, the default) and arm-none-eabi-gcc, behind one contract.

Their identity is part of every measurement; objects that do not depend on the candidate are compiled once and cached.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

from crest.assets import cache_dir
from crest.errors import CapacityError, ToolchainError
from crest.targets import Target

ToolchainName = Literal["zig", "gcc"]
COMPILE_TIMEOUT_S: Final = 300
# What generated code is compiled with where its layers are to be told apart.
MEASURE: Final = ("CREST_MEASURE",)
_COMMON: Final = (
    "-std=c11", "-O2", "-g0", "-ffunction-sections", "-fdata-sections", "-fno-common", "-fomit-frame-pointer",
    "-ffp-contract=off", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
_ZIG_CPU: Final = {
    ("cortex-m0plus", "none"): ("eabi", "cortex_m0plus"),
    ("cortex-m4", "none"): ("eabi", "cortex_m4"),
    ("cortex-m4", "single"): ("eabihf", "cortex_m4+vfp4d16sp"),
    ("cortex-m7", "none"): ("eabi", "cortex_m7"),
    ("cortex-m7", "single"): ("eabihf", "cortex_m7+fp_armv8d16sp"),
    ("cortex-m7", "double"): ("eabihf", "cortex_m7+fp_armv8d16"),
}
_GCC_FPU: Final = {
    ("cortex-m4", "single"): "fpv4-sp-d16",
    ("cortex-m7", "single"): "fpv5-sp-d16",
    ("cortex-m7", "double"): "fpv5-d16",
}


class Toolchain:
    """A C compiler for one machine: compiles and links without a shell."""

    name: str
    identity: str

    def __init__(self, command: Sequence[str], flags: Sequence[str], link_flags: Sequence[str]) -> None:
        self._command = tuple(command)
        self.flags = (*_COMMON, *flags)
        self.link_flags = tuple(link_flags)

    def compile(self, source: Path, output: Path, include: Sequence[Path], defines: Sequence[str] = ()) -> None:
        """Compile one C file to an object."""
        search = [f"-I{path}" for path in include]
        self._run([*self.flags, *(f"-D{define}" for define in defines), *search, "-c", str(source), "-o", str(output)])

    def compile_cached(self, source: Path, include: Sequence[Path], defines: Sequence[str] = ()) -> Path:
        """Compile a file that ships with CREST, once for these flags; returns the cached object."""
        digest = hashlib.sha256("\n".join([self.identity, *self.flags, *defines]).encode())
        for path in (source, *sorted(header for folder in include for header in folder.glob("*.[ch]"))):
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
        self._run([*self.flags, *map(str, objects), *self._link_arguments(script), "-o", str(output)])

    def _link_arguments(self, script: Path | None) -> list[str]:
        return [*self.link_flags, *(["-T", str(script)] if script else [])]

    def _run(self, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        command = [*self._command, *arguments]
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
            raise ToolchainError(f"{self.name}: {exc.filename} is not installed", hint=_HINTS[self.name]) from exc
        except subprocess.TimeoutExpired as exc:
            raise ToolchainError(f"{self.name}: no answer within {COMPILE_TIMEOUT_S} s") from exc
        if done.returncode != 0:
            raise _failure(self.name, done.stderr)

    def _environment(self) -> Mapping[str, str]:
        return {}


_HINTS: Final = {
    "zig": "pip install ziglang==0.17.1",
    "gcc": "install arm-none-eabi-gcc with newlib and put it on PATH, or say `toolchain: zig`",
}


def _failure(name: str, stderr: str) -> ToolchainError | CapacityError:
    overflow = [line for line in stderr.splitlines() if "overflowed" in line or "will not fit in region" in line]
    if overflow:
        return CapacityError(
            f"the firmware does not fit: {overflow[0].strip()}", hint="a smaller model, or a larger board"
        )
    return ToolchainError(f"{name} failed: {stderr.strip()[-2000:] or 'no message'}")


def target_toolchain(name: ToolchainName, target: Target) -> Toolchain:
    """The cross-compiler of that name, set up for the core of a target.

    Raises:
        ToolchainError: it is not installed.
    """
    return _Zig.for_target(target) if name == "zig" else _Gcc.for_target(target)


def host_toolchain() -> Toolchain:
    """A compiler for shared libraries on this machine."""
    # Symbols of the C library are left to the process that loads the library.
    return _Zig([*_zig_command(), "cc"], ["-fPIC", "-fno-sanitize=all"], ["-shared", "-nostdlib"])


class _Zig(Toolchain):
    name = "zig"

    def __init__(self, command: Sequence[str], flags: Sequence[str], link_flags: Sequence[str]) -> None:
        super().__init__(command, flags, link_flags)
        self.identity = f"zig {_zig_version()}"

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
        arguments = [*(f"-D{define}" for define in defines), *(f"-I{path}" for path in include)]
        arguments += [*map(str, (*objects, *sources)), *self._link_arguments(script), "-o", str(output)]
        self._run([*self.flags, *arguments], {"ZIG_LOCAL_CACHE_DIR": str(output.parent / "zig")})

    def _environment(self) -> Mapping[str, str]:
        zig_cache = str(cache_dir("zig"))
        return {"ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache}

    @classmethod
    def for_target(cls, target: Target) -> Toolchain:
        abi, cpu = _ZIG_CPU[target.core, target.fpu]
        # -fhosted: freestanding code turns every 4-byte memcpy into a call.
        flags = ["-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}", "-fhosted", "-fno-sanitize=all"]
        link = ["-Wl,--gc-sections", "-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=16"]
        return cls([*_zig_command(), "cc"], flags, link)


class _Gcc(Toolchain):
    name = "gcc"

    def __init__(self, command: Sequence[str], flags: Sequence[str], link_flags: Sequence[str]) -> None:
        super().__init__(command, flags, link_flags)
        self.identity = f"arm-none-eabi-gcc {_gcc_version(self._command[0])}"

    @classmethod
    def for_target(cls, target: Target) -> Toolchain:
        compiler = shutil.which("arm-none-eabi-gcc")
        if compiler is None:
            raise ToolchainError("gcc: arm-none-eabi-gcc is not on PATH", hint=_HINTS["gcc"])
        fpu = _GCC_FPU.get((target.core, target.fpu))
        abi = ["-mfloat-abi=hard", f"-mfpu={fpu}"] if fpu else ["-mfloat-abi=soft"]
        flags = [f"-mcpu={target.core}", "-mthumb", *abi]
        link = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-Wl,-e,Reset_Handler"]
        return cls([compiler], flags, link)


@cache
def _zig_command() -> tuple[str, ...]:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainError("zig: the ziglang wheel is not installed", hint=_HINTS["zig"])
    return (str(Path(spec.origin).parent / ("zig.exe" if os.name == "nt" else "zig")),)


@cache
def _zig_version() -> str:
    return importlib.metadata.version("ziglang")


@cache
def _gcc_version(compiler: str) -> str:
    done = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or "unknown"
