"""docs/targets.md does what it says: its files are written as shown, its commands run as written, in order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

from tests.conftest import ROOT
from tests.models_small import residual_model

TEXT = (ROOT / "docs" / "targets.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def commands():
    """(arguments, lines of output that are shown) of every command."""
    for part in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        program, *arguments = shlex.split(line)
        assert program == "crest"
        yield arguments, shown


def test_from_an_empty_file_to_a_price(tmp_path):
    (source,) = blocks("c")
    (tmp_path / "nrf52840-dk.yaml").write_text("".join(blocks("yaml")))
    (tmp_path / "nrf52840-dk").mkdir()
    (tmp_path / "nrf52840-dk" / "harness_board.c").write_text(source)
    (tmp_path / "model.tflite").write_bytes(residual_model())
    ran = []
    for arguments, shown in commands():
        command = [sys.executable, "-m", "crest", *arguments]
        environment = {**os.environ, "COLUMNS": "200"}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120, check=False
        )
        assert done.returncode == (4 if any(line.startswith("FAIL") for line in shown) else 0), (
            done.stdout + done.stderr
        )
        for line in shown:
            assert line in done.stdout.splitlines()
        ran.append(" ".join(arguments[:2]))
    assert ran[-2:] == ["target lint", "measure model.tflite"]


def test_every_register_model_is_listed():
    from crest.emulators.bus import MODELS

    section = TEXT.split("## Register models")[1].split("\n## ")[0]
    assert set(re.findall(r"`([\w-]+)`", section.split("\n\n`registers` knows")[0])) == set(MODELS)
