"""Finds engines by name: those of installed packages (entry points), and the built-in ones in any checkout."""

from __future__ import annotations

import difflib
import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from crest.emulators.base import Engine
from crest.errors import EmulationError, StudyError

ENTRY_POINT_GROUP: Final = "crest.engines"
_BUILT_IN: Final = {
    "renode": "crest.emulators.renode.engine:RenodeEngine",
    "unicorn": "crest.emulators.unicorn_engine:UnicornEngine",
}


def _found() -> dict[str, EntryPoint]:
    built_in = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILT_IN.items()}
    return {**{point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}, **built_in}


def engine_names() -> list[str]:
    """Names of all engines that are installed, sorted."""
    return sorted(_found())


def load_engine(text: str) -> Engine:
    """Return an engine by name, or by ``name:mode`` for one that has modes.

    Raises:
        StudyError: no engine of that name, or no such mode; the hint lists those that exist.
        EmulationError: the engine's package is broken, or the program that it drives is not found.
    """
    name, _, mode = text.partition(":")
    found = _found()
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise StudyError(
            f"unknown engine {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"engines: {', '.join(sorted(found))}",
        )
    try:
        factory = found[name].load()
    except (ImportError, AttributeError) as exc:
        raise EmulationError(
            f"engine {name!r} ({found[name].value}) cannot be loaded: {exc}", hint="reinstall the package it comes from"
        ) from exc
    if mode and "mode" not in inspect.signature(factory).parameters:
        raise StudyError(f"the engine {name} has no modes, so {text!r} makes no sense", hint=f"write {name}")
    return cast(Engine, factory(mode=mode) if mode else factory())
