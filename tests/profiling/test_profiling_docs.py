"""docs/profiling.md does what it says: commands run as written, in order; and errors of the command have exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.emulators.firmware import TARGET, c
from tests.models_small import dense_model

TEXT = (ROOT / "docs" / "profiling.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def without_figures(line):
    """Cycles change with the models; what is shown beside them does not."""
    return re.sub(r"\s+", " ", re.sub(r"[\d,.]+%?", "#", line))


def run(arguments, folder):
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def crest(*arguments, folder):
    return run(["-m", "crest", *map(str, arguments)], folder)


@pytest.fixture(scope="module")
def after_the_commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    (folder / "model.tflite").write_bytes(dense_model())
    shutil.copytree(ROOT / "examples", folder / "examples")
    for part in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        program, *arguments = shlex.split(line)
        done = run(arguments if program == "python" else ["-m", program, *arguments], folder)
        is_error = any(text.startswith("error:") for text in shown)
        assert done.returncode == (8 if is_error else 0), done.stdout + done.stderr
        printed = {without_figures(text) for text in (done.stderr if is_error else done.stdout).splitlines()}
        assert {without_figures(text) for text in shown} <= printed, done.stdout
    return folder


def test_the_stubs_shown_are_those_of_the_example():
    (shown,) = blocks("yaml")
    assert shown in (ROOT / "examples" / "bare-metal" / "stubs.yaml").read_text()


def test_what_the_commands_write(after_the_commands):
    profile = json.loads((after_the_commands / "profile.json").read_text())
    assert profile["output"] == "23.50\n" and profile["target"] == "nano33ble"
    stacks = (after_the_commands / "stacks.txt").read_text().splitlines()
    assert any(re.fullmatch(r"Reset_Handler;main;put_number;put_char \d+", line) for line in stacks)
    assert abs(sum(int(line.rsplit(" ", 1)[1]) for line in stacks) - profile["cycles"]["value"]) < len(stacks)
    flame = json.loads((after_the_commands / "inference.json").read_text())
    assert flame["$schema"].startswith("https://www.speedscope.app")
    assert flame["shared"]["frames"] and flame["profiles"][0]["weights"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("errors")
    (made / "a.elf").write_bytes(c("__attribute__((noinline)) int main(void) { return 0; }"))
    (made / "empty.elf").write_bytes(b"")
    (made / "text.elf").write_bytes(b"no firmware\n" * 9)
    (made / "cut.elf").write_bytes((made / "a.elf").read_bytes()[:900])
    (made / "empty.yaml").write_text("")
    (made / "typo.yaml").write_text("peripherals: {p: {base: 0x40003000, fixd: {0: 1}}}\n")
    (made / "text.yaml").write_text("peripherals: {p: {base: here}}\n")
    return made


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["absent.elf"], 8, "absent.elf: cannot be read: No such file"),
        (["."], 8, "cannot be read: Is a directory"),
        (["empty.elf"], 8, "not a readable ELF"),
        (["text.elf"], 8, "not a readable ELF"),
        (["cut.elf"], 8, "ELF"),
        (["a.elf", "--from", "mian"], 8, "did you mean main?"),
        (["a.elf", "--to", "nowhere"], 8, "no function 'nowhere'"),
        (["a.elf", "--from", ""], 8, "no function ''"),
        (["a.elf", "--stubs", "absent.yaml"], 4, "absent.yaml: no such file"),
        (["a.elf", "--stubs", "empty.yaml"], 4, "expected a mapping"),
        (["a.elf", "--stubs", "typo.yaml"], 4, "did you mean 'fixed'?"),
        (["a.elf", "--stubs", "text.yaml"], 4, "peripherals.p.base"),
        (["a.elf", "--max-instructions", "0"], 2, "--max-instructions"),
        (["a.elf", "--json", "absent/x.json"], 14, "cannot be written"),
        (["a.elf", "--folded", "."], 14, "cannot be written"),
        (["a.elf", "--speedscope", "absent/x.json"], 14, "cannot be written"),
    ],
)
def test_bad_input_ends_in_one_message(folder, arguments, code, words):
    done = crest("profile", *arguments, "--target", TARGET.name, folder=folder)
    assert done.returncode == code and words in done.stderr, done.stderr


def test_an_unknown_board(folder):
    done = crest("profile", "a.elf", "--target", "nano33", folder=folder)
    assert done.returncode == 3 and "did you mean 'nano33ble'?" in done.stderr
