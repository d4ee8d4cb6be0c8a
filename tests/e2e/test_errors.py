"""Bad input ends in one clear message, an exit code of its own, and no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from crest.assets import asset_path
from tests.models_small import dense_model
from tests.tflite_writer import OpSpec, TensorSpec, write_tflite

STUDY = """
name: broken
workload: {odometry: {source: generated, minutes: 2}}
model: {family: tcn}
targets: nano33ble
policy: {minimize: [rmse_total, latency_ms]}
"""


def crest(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "crest", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("model: {family: tcn}", "model: {famly: tcn}"), 3, "unknown key 'model.famly'; did you mean 'family'?"),
        (("model: {family: tcn}", "model: {family: tcnn}"), 3, "did you mean 'tcn'?"),
        (("targets: nano33ble", "targets: nano33"), 3, "did you mean 'nano33ble'?"),
        (("latency_ms]", "latency]"), 3, "policy.minimize.1: unknown metric 'latency'; did you mean 'latency_ms'?"),
        (("odometry:", "odometri:"), 3, "did you mean 'odometry'?"),
        (("{family: tcn}", "{family: tcn, space: {nb_filters: [9, 3]}}"), 3, "nb_filters"),
        (("source: generated, minutes: 2", "oxiod: nowhere"), 10, "nowhere"),
        (("name: broken", "name: broken\nname: twice"), 3, "'name' is given twice"),
        (("name: broken", "name: [1"), 3, "not valid YAML"),
    ],
)
def test_malformed_studies(tmp_path, change, code, words):
    pytest.importorskip("torch", reason="searching needs the search extra")
    (tmp_path / "study.yaml").write_text(STUDY.replace(*change))
    done = crest("search", "study.yaml", cwd=tmp_path)
    assert words in done.stderr
    assert done.returncode == code
    assert not (tmp_path / "runs").exists(), "nothing runs before the study is understood"


def test_no_such_study(tmp_path):
    done = crest("search", "absent.yaml", cwd=tmp_path)
    assert done.returncode == 3 and "absent.yaml: no such file" in done.stderr


def test_an_unsupported_operator_is_named(tmp_path):
    tensors = [TensorSpec((1, 4), "float32"), TensorSpec((1, 4), "float32")]
    (tmp_path / "m.tflite").write_bytes(write_tflite(tensors, [OpSpec("LSTM", [0], [1])], [0], [1]))
    done = crest("measure", "m.tflite", "--target", "nano33ble", cwd=tmp_path)
    assert done.returncode == 5
    assert "operator 0 (LSTM version 1): not supported" in done.stderr and "CONV_2D" in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a model", dense_model()[:100]])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "m.tflite").write_bytes(content)
    done = crest("measure", "m.tflite", "--target", "nano33ble", cwd=tmp_path)
    assert done.returncode == 5 and "m.tflite" in done.stderr


def test_a_model_that_does_not_fit_is_refused_before_it_is_compiled(tmp_path):
    (tmp_path / "big.tflite").write_bytes(dense_model(depth=4096, units=512))
    done = crest("measure", "big.tflite", "--target", "nano33ble", cwd=tmp_path, CREST_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 6
    assert "does not fit the flash of nano33ble" in done.stderr
    assert not (tmp_path / "cache" / "objects").exists()


def test_a_reserve_that_leaves_no_room(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", "--reserve-ram-bytes", 262_000, cwd=tmp_path)
    assert done.returncode == 6 and "RAM of nano33ble" in done.stderr


def test_an_absent_compiler(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", "--toolchain", "gcc", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 7
    assert "arm-none-eabi-gcc is not on PATH" in done.stderr and "toolchain: zig" in done.stderr


@pytest.mark.parametrize(
    ("flags", "code"), [("-flto", 7), ("'-O3", 2), ("@flags", 7), ("-include x.h", 7), ("-s", 7), ("-r", 7)]
)
def test_compiler_flags_that_make_no_sense(tmp_path, flags, code):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("compile", "m.tflite", "--target", "nano33ble", f"--cflags={flags}", cwd=tmp_path)
    assert done.returncode == code and flags.split()[0] in done.stderr


@pytest.mark.parametrize("flag", ["--help", "--version", "-###"])
def test_compiler_flags_that_make_it_answer_instead_of_compile(tmp_path, flag):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", f"--cflags={flag}", cwd=tmp_path)
    assert done.returncode == 7 and "wrote nothing" in done.stderr


def test_a_compiler_without_a_name(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", "--toolchain=", cwd=tmp_path)
    assert done.returncode == 7 and "name of the compiler is empty" in done.stderr


def test_firmware_that_is_not_optimized(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", "--cflags=-O0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("toolchain: clang", "toolchain: 'clang' is not one of zig, gcc, nor a mapping with cc"),
        ("toolchain: {cc: ''}", "toolchain.cc"),
        ("toolchain: {cc: zig, cflags: -O3}", "toolchain.cflags"),
        ("toolchain: {cc: zig, cflag: [-O3]}", "did you mean 'cflags'?"),
        ("toolchain: [zig]", "toolchain"),
        ("lowering: fast", "lowering: Input should be 'optimized' or 'plain'"),
    ],
)
def test_malformed_build_options_of_a_study(tmp_path, key, words):
    pytest.importorskip("torch", reason="searching needs the search extra")
    (tmp_path / "study.yaml").write_text(STUDY + key + "\n")
    done = crest("search", "study.yaml", cwd=tmp_path)
    assert done.returncode == 3 and words in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 7, "no source tree of TFLite Micro is given"),
        (("--tflm-tree", "."), 7, "zig cannot build it"),
        (("--tflm-tree", ".", "--toolchain", "gcc"), 7, "is no whole TFLite Micro tree"),
    ],
)
def test_another_runtime_without_what_it_needs(tmp_path, options, code, words):
    if "gcc" in options and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    (tmp_path / "m.tflite").write_bytes(dense_model())
    command = ["measure", "m.tflite", "--target", "nano33ble", "--runtime", "tflm", *options]
    done = crest(*command, cwd=tmp_path, CREST_TFLM="")
    assert done.returncode == code and words in done.stderr and "hint: " in done.stderr


def test_a_tree_for_no_runtime(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", "--tflm-tree", ".", cwd=tmp_path)
    assert done.returncode == 2 and "--tflm-tree" in done.stderr


def test_a_damaged_ledger_is_refused_and_kept(tmp_path):
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    (run / "ledger.jsonl").write_bytes(b"garbage\nmore\n")
    done = crest("show", run, cwd=tmp_path)
    assert done.returncode == 11 and "ledger.jsonl" in done.stderr
    assert (run / "ledger.jsonl").read_bytes() == b"garbage\nmore\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["measure", "m.tflite", "--target", "nano33ble", "--json", "absent/x.json"],
        ["schema", "-o", "absent/x.json"],
        ["compile", "m.tflite", "--target", "nano33ble", "-o", "m.tflite"],
        ["compile", "m.tflite", "--target", "nano33ble", "-o", "m.tflite/below"],
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, arguments):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest(*arguments, cwd=tmp_path)
    assert done.returncode == 14 and "cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("fpu: single", "fpu: double"), "a cortex-m4 has no FPU 'double'"),
        (("clock_mhz: [64]", "clock_mhz: [0]"), "clock_mhz.0"),
        (("firmware_board: nano33ble", "firmware_board: none"), "firmware_board: there is no folder"),
        (("reserved_flash_bytes: 0x10000", "reserved_flash_bytes: 0x200000"), "smaller than what is reserved"),
    ],
)
def test_a_malformed_target_of_the_users(tmp_path, change, words):
    text = asset_path("emulation", "targets", "nano33ble.yaml").read_text()
    assert change[0] in text
    (tmp_path / "board.yaml").write_text(text.replace(*change, 1))
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "board.yaml", cwd=tmp_path, CREST_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 4 and words in done.stderr
    assert not (tmp_path / "cache" / "objects").exists()


def bare_board(folder):
    """A board of the user's without an energy model."""
    text = asset_path("emulation", "targets", "nano33ble.yaml").read_text()
    (folder / "bare.yaml").write_text(text.replace("name: nano33ble", "name: bare"))


def test_a_board_without_an_energy_model_is_measured(tmp_path):
    bare_board(tmp_path)
    (tmp_path / "m.tflite").write_bytes(dense_model())
    measure = ["measure", "m.tflite", "--target", "bare.yaml", "--schedule", "cadenced", "--json", "m.json"]
    done = crest(*measure, cwd=tmp_path, COLUMNS="160")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no energy model") >= 4
    measurement = json.loads((tmp_path / "m.json").read_text())
    assert measurement["latency_ms"]["value"] > 0
    assert measurement["energy_per_window_uj"]["reason"] == "no energy model"


def test_an_energy_objective_needs_an_energy_model(tmp_path):
    pytest.importorskip("torch", reason="searching needs the search extra")
    bare_board(tmp_path)
    study = STUDY.replace("targets: nano33ble", "targets: bare.yaml").replace("latency_ms", "energy_per_window_uj")
    (tmp_path / "study.yaml").write_text(study)
    done = crest("search", "study.yaml", cwd=tmp_path, CREST_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 3 and "policy.minimize.1: energy_per_window_uj is not known" in done.stderr
    assert "hint: name latency_ms" in done.stderr
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache" / "objects").exists()


def test_a_target_of_the_users_with_its_energy_model_beside_it(tmp_path):
    for source, name in (
        ("emulation/targets/nano33ble.yaml", "mine.yaml"),
        ("energy_models/nano33ble.yaml", "mine.energy.yaml"),
    ):
        text = asset_path(*source.split("/")).read_text()
        (tmp_path / name).write_text(
            text.replace("name: nano33ble", "name: mine").replace("target: nano33ble", "target: mine")
        )
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0 and "mine at 64 MHz" in done.stdout


def test_a_cache_that_cannot_be_created(tmp_path):
    (tmp_path / "m.tflite").write_bytes(dense_model())
    done = crest("measure", "m.tflite", "--target", "nano33ble", cwd=tmp_path, CREST_CACHE=str(tmp_path / "m.tflite"))
    assert done.returncode == 14 and "CREST_CACHE" in done.stderr


def test_no_such_run(tmp_path):
    for command in ("show", "resume", "report", "reprice"):
        done = crest(command, "runs/none", cwd=tmp_path)
        assert done.returncode == 11 and "runs/none" in done.stderr, command


def test_the_core_commands_need_neither_torch_nor_tensorflow(tmp_path):
    """Measure and compile with the search extra hidden from the import system."""
    (tmp_path / "m.tflite").write_bytes(dense_model())
    extra = ("torch", "tensorflow", "keras", "optuna", "matplotlib", "scipy")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nfor name in {extra}:\n    sys.modules[name] = None\n")
    for arguments in (
        ["measure", "m.tflite", "--target", "nano33ble"],
        ["compile", "m.tflite", "--target", "nano33ble", "-o", "out", "--elf"],
        ["schema"],
    ):
        done = crest(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert done.returncode == 0, done.stderr
    (tmp_path / "study.yaml").write_text(STUDY)
    done = crest("search", "study.yaml", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 13 and "crest[search]" in done.stderr
