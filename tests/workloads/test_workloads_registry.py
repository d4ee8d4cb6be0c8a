from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import crest.plugins
from crest.errors import StudyError
from crest.workloads import load_workload, workload_names
from crest.workloads.odometry import Odometry


def test_the_generated_walks_load_by_name() -> None:
    pytest.importorskip("scipy", reason="generated walks need scipy")
    workload = load_workload({"odometry": {"source": "generated", "minutes": 2, "seed": 9}})
    assert isinstance(workload, Odometry)
    assert workload.name == "odometry"
    assert len(workload.split("train")) > len(workload.split("test")) > 0
    again = load_workload({"odometry": {"source": "generated", "minutes": 2, "seed": 9}})
    assert workload.fingerprint() == again.fingerprint()
    from_files = load_workload({"odometry": {"oxiod": str(workload.root)}})
    assert from_files.fingerprint() == workload.fingerprint()
    other = load_workload({"odometry": {"source": "generated", "minutes": 2, "seed": 10}})
    assert workload.fingerprint() != other.fingerprint()


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from crest.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "scipy.interpolate", None)
    with pytest.raises(MissingExtraError, match="scipy") as caught:
        load_workload({"odometry": {"source": "generated"}})
    assert "crest[search]" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"odometri": {}}, "unknown workload 'odometri'; did you mean 'odometry'?"),
        ({"zzz": {}}, "unknown workload 'zzz'$"),
        ({}, "expected one name"),
        ({"odometry": {}, "audio": {}}, "expected one name"),
        ("odometry", "expected one name"),
        ({"odometry": "generated"}, r"workload\.odometry: expected a mapping of options, got str"),
        ({"odometry": None}, r"workload\.odometry: expected a mapping of options, got NoneType"),
        ({3: {}}, "unknown workload 3"),
    ],
)
def test_specs_that_do_not_fit_are_refused(spec: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_workload(spec)


class _Plugin:
    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self.options = options
        self.folder = folder


def _offer(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    module = ModuleType("crest_test_plugin")
    module.Plugin = _Plugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "crest_test_plugin", module)

    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == "crest.workloads"
        return [EntryPoint(name, value, group) for name, value in entries]

    monkeypatch.setattr(crest.plugins, "entry_points", entry_points)


def test_other_packages_add_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, ("gestures", "crest_test_plugin:Plugin"))
    assert {"gestures", "odometry"} <= set(workload_names())
    loaded = load_workload({"gestures": {"hands": 2}}, Path("here"))
    assert isinstance(loaded, _Plugin)
    assert loaded.options == {"hands": 2}
    assert loaded.folder == Path("here")


def test_a_plugin_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, ("gestures", "crest_test_plugin:Absent"), ("taps", "no_such_module_anywhere:Taps"))
    with pytest.raises(StudyError, match=r"workload 'gestures': crest_test_plugin:Absent cannot be loaded"):
        load_workload({"gestures": {}})
    with pytest.raises(StudyError, match=r"workload 'taps'"):
        load_workload({"taps": {}})


def test_what_ships_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _offer(monkeypatch, ("odometry", "crest_test_plugin:Plugin"))
    with pytest.raises(StudyError, match="give either"):
        load_workload({"odometry": {}})
