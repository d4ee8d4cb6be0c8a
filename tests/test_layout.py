"""The plan of the house: imports go downward, modules stay small, boards stay in data."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from crest.targets import target_names

PACKAGE = Path(__file__).resolve().parents[1] / "crest"
FLOORS = [
    {"errors", "frozen", "units", "yaml_io", "files", "assets", "plugins"},
    {
        "workloads",
        "targets",
        "placement",
        "schedule",
        "alternatives",
        "measurement",
        "intervals",
        "pareto",
        "count_names",
        "meters",
    },
    {"emulators", "energy", "compiler", "models", "study", "ledger"},
    {"timing", "report"},
    {"backends", "profiling"},
    {"pricing", "bringup"},
    {"search", "calibrate", "replay"},
    {"cli", "__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return None if parts == ("__init__",) else parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    room = room_of(path)
    if room is None:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            parts = name.split(".")
            if parts[0] == "crest" and len(parts) > 1 and parts[1] != room:
                assert FLOOR_OF[parts[1]] <= FLOOR_OF[room], f"{name} lies above {room}"


def test_every_room_is_on_the_plan():
    assert {room_of(path) for path in MODULES} - {None} == set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_are_small_and_name_no_board(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    examples = re.compile(r"(--target|--from|crest targets|crest calibrate) \S+")
    named = [name for name in target_names() if name in examples.sub("", text)]
    assert not named, "a board is named outside of an example"
