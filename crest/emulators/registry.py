"""Finds engines by name."""

from __future__ import annotations

import inspect
from typing import Final, cast

from crest.emulators.base import Engine
from crest.errors import EmulationError, StudyError
from crest.plugins import Plugins

_BUILT_IN: Final = {
    "renode": "crest.emulators.renode.engine:RenodeEngine",
    "unicorn": "crest.emulators.unicorn_engine:UnicornEngine",
}
_ENGINES: Final = Plugins("engine", "crest.engines", _BUILT_IN, EmulationError)


def engine_names() -> list[str]:
    """Names of all engines that are installed, sorted."""
    return _ENGINES.names()


def load_engine(text: str) -> Engine:
    """Return an engine by name, or by ``name:mode`` for one that has modes.

    Raises:
        StudyError: no engine of that name, or no such mode; the hint lists those that exist.
        EmulationError: the engine's package is broken, or the program that it drives is not found.
    """
    name, _, mode = text.partition(":")
    factory = _ENGINES.load(name)
    if mode and "mode" not in inspect.signature(factory).parameters:
        raise StudyError(f"the engine {name} has no modes, so {text!r} makes no sense", hint=f"write {name}")
    return cast(Engine, factory(mode=mode) if mode else factory())
