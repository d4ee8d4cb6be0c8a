"""A source tree of TFLite Micro: where its parts lie, which files a model needs, and its identity.

Two layouts are known: what ``create_tflm_tree.py`` writes, and a checkout of the repository whose ``make`` has
downloaded the third-party sources.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crest.errors import ToolchainError

TREE_VARIABLE: Final = "CREST_TFLM"
_MICRO: Final = Path("tensorflow/lite/micro")
_RESOLVER: Final = _MICRO / "micro_mutable_op_resolver.h"
_THIRD_PARTY: Final = (Path("third_party"), _MICRO / "tools/make/downloads")
_NEEDED: Final = (_MICRO / "micro_interpreter.h", _RESOLVER, _MICRO / "kernels/cmsis_nn")
_NEEDED_DOWNLOADS: Final = (
    "flatbuffers/include/flatbuffers/flatbuffers.h",
    "gemmlowp/fixedpoint/fixedpoint.h",
    "ruy/ruy/profiler/instrumentation.h",
)
_HEADER_FOLDERS: Final = (
    "flatbuffers/include",
    "gemmlowp",
    "ruy",
    "cmsis/CMSIS/Core/Include",
    "cmsis/CMSIS/DSP/Include",
)
# Where CMSIS-NN lies; in old trees inside CMSIS.
_CMSIS_NN: Final = ("cmsis_nn", "cmsis/CMSIS/NN")
_SOURCES: Final = (".cc", ".cpp", ".c")
_HEADERS: Final = (".h", ".hpp", ".inc")
# Neither built nor included by what is built.
_SKIPPED_FOLDERS: Final = frozenset(
    ("benchmarks", "docs", "examples", "experimental", "integration_tests", "models", "python", "testing", "tools")
)
# Tests and their scaffolding; logging and clocks, which release builds leave out; floating point of CMSIS-NN.
_SKIPPED_FILES: Final = re.compile(
    r".*_test(_common|_flexbuffers_generated_data)?|test_helpers?.*|(fake|mock|recording)_.*|kernel_runner|array"
    r"|.*_flexbuffers_generated_data|debug_log|micro_time|system_setup|hexdump|.*_(f16|f32|flt)"
)
_SHARED_KERNELS: Final = re.compile(r".*_common|.*util.*")
# TfLiteStatus AddConv2D(... = Register_CONV_2D()) { return AddBuiltin(BuiltinOperator_CONV_2D, ...); }
_ADD_METHOD: Final = re.compile(
    r"TfLiteStatus\s+(Add\w+)\(([^{}]*)\)\s*\{\s*return\s+AddBuiltin\(\s*BuiltinOperator_(\w+)\s*,([^;]*)\)\s*;"
)
_REGISTER: Final = re.compile(r"\bRegister_\w+")
HOW_TO_GET: Final = (
    "make one in a checkout of tflite-micro: "
    "python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py "
    '--makefile_options="TARGET=cortex_m_generic TARGET_ARCH=cortex-m4 OPTIMIZED_KERNEL_DIR=cmsis_nn" TREE'
)


@dataclass(frozen=True)
class Kind:
    """An operator as the resolver of a tree knows it: the method that adds it, and the function that describes it."""

    method: str
    register: str


@dataclass(frozen=True)
class TflmTree:
    """A tree that has been looked through; made by ``read_tree``.

    Attributes:
        include: folders of headers.
        core: sources of the interpreter.
        kernels: sources of the operators, those of CMSIS-NN in the place of the reference.
        third_party: sources of CMSIS-NN itself.
        kinds: by builtin operator, how it is added.
        sha256: of every source and header of the parts that are used.
    """

    root: Path
    include: tuple[Path, ...]
    core: tuple[Path, ...]
    kernels: tuple[Path, ...]
    third_party: tuple[Path, ...]
    kinds: Mapping[str, Kind]
    sha256: str

    @property
    def identity(self) -> str:
        """What measurements name."""
        return f"tflm {self.sha256[:12]}"

    def kernels_of(self, kinds: Sequence[str]) -> tuple[Path, ...]:
        """The sources that define some operators, and what operators share; all where a definition is not found."""
        texts = {path: path.read_text("utf-8", "replace") for path in self.kernels}
        needed = {path for path in self.kernels if _SHARED_KERNELS.fullmatch(path.stem)}
        for kind in kinds:
            definition = re.compile(rf"\b{self.kinds[kind].register}\s*\(\s*\)\s*\{{")
            found = {path for path, text in texts.items() if definition.search(text)}
            if not found:
                return self.kernels
            needed |= found
        return tuple(path for path in self.kernels if path in needed)


def tree_folder(written: str) -> Path:
    """The folder of a tree: as it was given, else that of ``$CREST_TFLM``.

    Raises:
        ToolchainError: neither says where a tree is.
    """
    chosen = written or os.environ.get(TREE_VARIABLE, "")
    if not chosen:
        raise ToolchainError(
            "runtime tflm: no source tree of TFLite Micro is given",
            hint=f"say `runtime: {{tflm: TREE}}`, --tflm-tree TREE, or set {TREE_VARIABLE}; {HOW_TO_GET}",
        )
    return Path(chosen).expanduser().resolve()


def read_tree(root: Path) -> TflmTree:
    """Look through a source tree.

    Raises:
        ToolchainError: it is none, or not whole; every file that is missing is named.
    """
    downloads = _find_downloads(root)
    nn = next((downloads / place for place in _CMSIS_NN if (downloads / place / "Include").is_dir()), None)
    missing = [str(path) for path in _NEEDED if not (root / path).exists()]
    missing += [
        str((downloads / name).relative_to(root)) for name in _NEEDED_DOWNLOADS if not (downloads / name).exists()
    ]
    if nn is None:
        missing.append(str((downloads / _CMSIS_NN[0] / "Include").relative_to(root)))
    if missing or nn is None:
        raise ToolchainError(
            f"runtime tflm: {root} is no whole TFLite Micro tree: no {', '.join(missing)}", hint=HOW_TO_GET
        )
    headers = [downloads / name for name in _HEADER_FOLDERS]
    include = [root, downloads, *headers, downloads / "cmsis", nn, nn / "Include"]
    return TflmTree(
        root=root,
        include=tuple(path for path in include if path.is_dir()),
        core=tuple(_core(root)),
        kernels=tuple(_kernels(root / _MICRO / "kernels")),
        third_party=tuple(path for path in _walk(nn / "Source") if path.suffix == ".c" and _is_built(path)),
        kinds=_kinds((root / _RESOLVER).read_text("utf-8", "replace")),
        sha256=_digest(root, [root / "tensorflow", *headers, nn / "Include", nn / "Source"]),
    )


def _find_downloads(root: Path) -> Path:
    """Where the third-party sources lie; in a checkout, ``third_party`` holds only build files."""
    first = Path(_NEEDED_DOWNLOADS[0])
    return root / next((place for place in _THIRD_PARTY if (root / place / first).exists()), _THIRD_PARTY[0])


def _is_built(path: Path) -> bool:
    return path.suffix in _SOURCES and not _SKIPPED_FILES.fullmatch(path.stem)


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder in a fixed order, without folders that hold nothing of the library."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED_FOLDERS)
        yield from (Path(parent) / name for name in sorted(names))


def _core(root: Path) -> Iterator[Path]:
    micro = root / _MICRO
    for folder in (micro, *(micro / name for name in ("arena_allocator", "memory_planner", "tflite_bridge"))):
        yield from (path for path in sorted(folder.glob("*")) if _is_built(path))
    for path in _walk(root / "tensorflow"):
        if _is_built(path) and micro not in path.parents:
            yield path


def _kernels(folder: Path) -> list[Path]:
    """One source a kernel: that of CMSIS-NN where there are two."""
    chosen = {path.stem: path for path in sorted(folder.glob("*")) if _is_built(path)}
    chosen |= {path.stem: path for path in sorted((folder / "cmsis_nn").glob("*")) if _is_built(path)}
    return list(chosen.values())


def _kinds(resolver: str) -> dict[str, Kind]:
    kinds = {}
    for method, arguments, kind, rest in _ADD_METHOD.findall(resolver):
        register = _REGISTER.search(arguments) or _REGISTER.search(rest)
        if register:
            kinds[kind] = Kind(method, register.group())
    return kinds


def _digest(root: Path, folders: Sequence[Path]) -> str:
    found = {path for folder in folders for path in _walk(folder) if path.suffix in (*_SOURCES, *_HEADERS)}
    digest = hashlib.sha256()
    for path in sorted(found):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
