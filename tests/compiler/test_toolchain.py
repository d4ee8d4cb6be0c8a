"""The user's own compiler and flags: they build the firmware, and are part of its identity."""

from __future__ import annotations

import shutil
import sys

import pytest

from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.project import write_c_project
from crest.compiler.toolchain import target_toolchain
from crest.errors import ToolchainError
from crest.targets import load_target
from tests.models_small import residual_model

TARGET = load_target("nano33ble")
GCC = shutil.which("arm-none-eabi-gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="arm-none-eabi-gcc is not on PATH")


def program_with(toolchain):
    return build_program(lower_graph(import_tflite(residual_model(), "small"), TARGET.core), TARGET, toolchain)


@pytest.mark.parametrize("cc", ["zig", pytest.param("gcc", marks=needs_gcc)])
def test_flags_of_the_user_win_and_are_part_of_the_identity(cc, tmp_path):
    plain, tuned = (target_toolchain(cc, TARGET, flags) for flags in ((), ("-Os", "-DNOTE=a;b")))
    assert tuned.identity == plain.identity + " -Os -DNOTE=a;b"
    assert tuned.flags.index("-Os") > tuned.flags.index("-O2")
    program = program_with(tuned)
    assert program.toolchain == tuned.identity
    assert program.memory.code_bytes < program_with(plain).memory.code_bytes
    write_c_project(program, tuned, tmp_path)
    options = [line for line in (tmp_path / "CMakeLists.txt").read_text().splitlines() if "compile_options" in line]
    assert options[0].endswith("-Os [==[-DNOTE=a;b]==])")


@needs_gcc
def test_a_compiler_is_named_by_its_path(tmp_path):
    link = tmp_path / "our-arm-gcc"
    link.symlink_to(GCC)
    toolchain = target_toolchain(str(link), TARGET)
    assert toolchain.identity == target_toolchain("gcc", TARGET).identity.replace("arm-none-eabi-gcc", "our-arm-gcc")
    assert program_with(toolchain).elf == program_with(target_toolchain("gcc", TARGET)).elf


@pytest.mark.parametrize(
    "flag", ["-flto", "-flto=auto", "-c", "-ofile", "-fprofile-arcs", "-fsanitize=address", "-O2\n"]
)
def test_flags_that_would_spoil_the_measurement_are_refused(flag):
    with pytest.raises(ToolchainError, match="is not possible here"):
        target_toolchain("zig", TARGET, [flag])


@pytest.mark.parametrize("cc", ["no-such-compiler", "/nowhere/gcc", sys.executable])
def test_what_is_no_compiler_for_arm_is_named(cc):
    with pytest.raises(ToolchainError, match=cc) as caught:
        target_toolchain(cc, TARGET)
    assert caught.value.hint is not None


def test_a_flag_the_compiler_does_not_know_is_its_error():
    with pytest.raises(ToolchainError, match="no-such-flag"):
        program_with(target_toolchain("zig", TARGET, ["--no-such-flag"]))
