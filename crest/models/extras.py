"""Imports the heavy libraries of the search extra only where they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from crest.errors import MissingExtraError


def require_search_extra(module: str) -> Any:
    """Import ``module``, which the core installation does not bring.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        raise _missing(module) from exc


def check_search_extra(module: str) -> None:
    """Make sure that ``module`` is there, without the seconds that its import takes.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        found = importlib.util.find_spec(module) is not None
    except ValueError:  # hidden from the import system
        found = False
    if not found:
        raise _missing(module)


def _missing(module: str) -> MissingExtraError:
    return MissingExtraError(f"{module} is not installed", hint="pip install 'crest[search]'")
