"""Compiles TFLite Micro and CMSIS-NN with the flags of their own release build, once for a tree and a machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from crest.assets import asset_path
from crest.compiler.tflm.tree import TflmTree
from crest.compiler.toolchain import Toolchain
from crest.errors import ToolchainError

# As TFLite Micro's Makefile with BUILD_TYPE=release, gcc and OPTIMIZED_KERNEL_DIR=cmsis_nn: the interpreter for size,
# kernels for speed; strings of errors, and with them the calls of the profiler, left out.
_COMMON: Final = (
    "-ffunction-sections", "-fdata-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
    "-fmessage-length=0", "-fomit-frame-pointer", "-funsigned-char",
    "-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DNDEBUG", "-DCMSIS_NN",
    "-DKERNELS_OPTIMIZED_FOR_SPEED",
)  # fmt: skip
_C: Final = ("-std=c17", *_COMMON)
_CXX: Final = ("-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics", *_COMMON)
_CORE: Final = "-Os"
_KERNELS: Final = "-O2"
# The C library may refer to system calls that nobody makes.
LIBRARIES: Final = ("-lstdc++", "-lm", "--specs=nosys.specs")
# The harness is told that an interpreter decides where tensors lie.
INTERPRETED: Final = "CREST_INTERPRETED"
# Headers of the C++ standard library that everything in the tree includes sooner or later.
_CXX_PROBE: Final = "#include <algorithm>\n#include <cstdint>\n#include <new>\n#include <type_traits>\n"
_NO_CXX_HINT: Final = (
    "TFLite Micro is C++: install arm-none-eabi-g++ with newlib and the C++ standard library "
    "(Debian: gcc-arm-none-eabi, libstdc++-arm-none-eabi-newlib) and say `toolchain: gcc`"
)


def require_cxx(toolchain: Toolchain) -> None:
    """Make sure that a compiler can compile C++ with its standard library.

    Raises:
        ToolchainError: it cannot; zig has no headers of the standard library for bare metal.
    """
    if toolchain.name == "zig":
        raise ToolchainError(
            "runtime tflm: zig cannot build it, for it has no C++ standard library for bare metal", hint=_NO_CXX_HINT
        )
    with tempfile.TemporaryDirectory(prefix="crest-cxx-") as scratch:
        source = Path(scratch) / "probe.cc"
        source.write_text(_CXX_PROBE, encoding="utf-8")
        try:
            toolchain.with_flags(_CXX).compile(source, source.with_suffix(".o"), [])
        except ToolchainError as exc:
            problem = f"runtime tflm: {toolchain.name} cannot compile C++: {exc.message}"
            raise ToolchainError(problem, hint=_NO_CXX_HINT) from exc


def compile_tree(tree: TflmTree, toolchain: Toolchain, kernels: Sequence[Path]) -> list[Path]:
    """Compile the interpreter, some kernels and CMSIS-NN; returns the cached objects.

    Raises:
        ToolchainError: a file does not compile.
    """
    jobs = [(path, _CORE) for path in tree.core]
    jobs += [(path, _KERNELS) for path in (*kernels, *tree.third_party)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda job: _compile(tree, toolchain, *job), jobs))


def compile_glue(tree: TflmTree, toolchain: Toolchain, folder: Path, flags: Sequence[str] = ()) -> list[Path]:
    """Compile what CREST puts around the interpreter for the model whose sources lie in a folder."""
    system = [f"-isystem{path}" for path in tree.include]
    compiler = toolchain.with_flags((*_CXX, *system, _CORE, *flags))
    glue = asset_path("firmware", "tflm")
    objects = []
    # What both instantiate is linked from the first, which ships.
    for source in (glue / "tflm_interpreter.cc", glue / "harness_tflm.cc"):
        objects.append(folder / f"{source.stem}.o")
        compiler.compile(source, objects[-1], [folder, glue, asset_path("firmware", "runtime")], [INTERPRETED])
    return objects


def _compile(tree: TflmTree, toolchain: Toolchain, source: Path, level: str) -> Path:
    language = _C if source.suffix == ".c" else _CXX
    return toolchain.with_flags((*language, level, "-w")).compile_cached(source, tree.include, headers=tree.sha256)
