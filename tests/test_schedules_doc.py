"""docs/schedules.md does what it says: its studies are read, its commands and its Python run as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from crest.study import parse_study
from tests.conftest import ROOT
from tests.models_small import full_length_tcn
from tests.test_units import STUDY

TEXT = (ROOT / "docs" / "schedules.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def commands():
    for part in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        yield line, shown


def without_figures(line):
    """Costs change with the models; what is shown beside them does not."""
    return re.sub(r"[\s─]+", " ", re.sub(r"[\d,.]+( [nµm]?[sWJhdy]\b)?", "#", line))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.tflite").write_bytes(full_length_tcn(256, 6, 16, dilations=(1, 2, 4, 8, 16)))
    written = {**STUDY, "schedule": {"cadenced": {"period_s": 0.2}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(written))
    return tmp_path


def run(arguments, folder):
    command, environment = [sys.executable, *arguments], {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("line", "shown"), list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_commands_run_as_written(folder, line, shown):
    program, *arguments = shlex.split(line)
    assert program == "crest"
    done = run(["-m", "crest", *arguments], folder)
    wrong = any(text.startswith("error:") for text in shown)
    assert done.returncode == (3 if wrong else 0), done.stdout + done.stderr
    printed = {without_figures(text) for text in (done.stderr if wrong else done.stdout).splitlines()}
    assert {without_figures(text) for text in shown} <= printed, done.stdout + done.stderr


def test_the_studies_are_read():
    assert len(blocks("yaml")) == 2
    for block in blocks("yaml"):
        parse_study({**STUDY, **yaml.safe_load(block)})


def test_the_python_runs(folder):
    (script,) = blocks("python")
    done = run(["-c", script], folder)
    assert done.returncode == 0, done.stderr
    assert "period_ms=Estimate(value=" in done.stdout


def test_the_equations_are_those_of_the_module():
    import crest.schedule

    for line in ("r                 = max(w, wake_margin)", "+ run_power * (r - w + latency) + sleep_power * (period"):
        assert line in TEXT and line in crest.schedule.__doc__
