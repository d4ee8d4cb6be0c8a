"""`crest setup renode`, and the engine by its name from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crest.backends.emulated import EmulatedBackend
from crest.cli.app import app
from crest.errors import EmulationError, MissingExtraError
from crest.study.load import parse_study
from tests.emulators.renode_places import write_fake
from tests.models_small import dense_model

INSTALLER = """#!/bin/sh
echo "asked to $1 $2"
mkdir -p {folder}
cp {fake} {folder}/renode
exit {code}
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A computer without Renode; returns its folder and a way to give it renode-run."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.delenv("CREST_RENODE", raising=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "elsewhere").mkdir()

    def give(code=0):
        folder = tmp_path / "home" / ".config" / "renode" / "renode-run.download" / "dotnet-portable" / "renode-1.16.1"
        installer = tmp_path / "bin" / "renode-run"
        installer.write_text(INSTALLER.format(folder=folder, fake=write_fake(tmp_path / "elsewhere"), code=code))
        installer.chmod(0o755)
        return folder

    return give


def run(*arguments, answer=""):
    return CliRunner().invoke(app, ["setup", "renode", *arguments], input=answer)


def test_without_renode_run_it_says_how_to_get_it(machine):
    result = run()
    assert isinstance(result.exception, MissingExtraError)
    assert "github.com/antmicro/renode-run" in result.exception.hint


def test_it_says_what_it_will_do_and_asks(machine, capfd):
    folder = machine()
    result = run(answer="n\n")
    assert result.exit_code == 1
    assert "renode-run download latest" in result.output
    assert "renode-run.download" in result.output
    assert not folder.exists()
    result = run("--version", "1.16.1", answer="y\n")
    assert result.exit_code == 0, result.output
    assert f"Renode 1.16.1.10190: {folder / 'renode'}" in result.output
    assert "asked to download 1.16.1" in capfd.readouterr().out
    assert "is installed" in run().output  # and nothing is run again


def test_a_failing_installer_is_an_error(machine):
    machine(code=3)
    result = run("--yes")
    assert isinstance(result.exception, EmulationError)
    assert "ended with code 3" in result.exception.message


def test_the_engine_is_one_option_and_part_of_the_price_key(machine, tmp_path, monkeypatch):
    model = tmp_path / "model.tflite"
    model.write_bytes(dense_model())
    arguments = ["measure", str(model), "--target", "nano33ble", "--json", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, [*arguments, "--engine", "renode"])
    assert isinstance(result.exception, EmulationError)
    assert "looked for it in: PATH" in result.exception.hint
    monkeypatch.setenv("CREST_RENODE", str(write_fake(tmp_path / "elsewhere")))
    measured = {}
    for engine in ("renode", "unicorn"):
        result = CliRunner().invoke(app, [*arguments, "--engine", engine])
        assert result.exit_code == 0, result.output
        measured[engine] = json.loads((tmp_path / "out.json").read_text())
    backends = [measured[engine].pop("backend") for engine in ("renode", "unicorn")]
    assert backends[0] == "emulated/renode 1.16.1.10190 trace"
    assert backends[1].startswith("emulated/unicorn ")
    assert measured["renode"] == measured["unicorn"]
    result = CliRunner().invoke(app, [*arguments, "--engine", "renode:counters"])
    assert isinstance(result.exception, EmulationError)
    assert "nothing can be priced" in result.exception.message
    assert EmulatedBackend("renode:counters").identity == "emulated/renode 1.16.1.10190 counters"


def test_the_engine_is_one_line_in_a_study():
    study = {
        "name": "a", "workload": {"odometry": {}}, "model": {"family": "tcn"}, "targets": "nano33ble",
        "backend": {"emulated": {"engine": "renode"}}, "policy": {"minimize": ["latency_ms"]},
    }  # fmt: skip
    assert parse_study(study).backend.emulated.engine == "renode"
