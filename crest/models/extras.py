"""Imports the heavy libraries of the search extra only where they are needed."""

from __future__ import annotations

import importlib
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
        raise MissingExtraError(f"{module} is not installed", hint="pip install 'crest[search]'") from exc
