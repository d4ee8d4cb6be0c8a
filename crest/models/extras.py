"""Imports the heavy libraries of the search extra only where they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from crest.errors import MissingExtraError


def require_search_extra(module: str, *, load: bool = True) -> Any:
    """Import ``module``, which the core installation does not bring; with ``load=False`` only make sure it is there.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        if not load and importlib.util.find_spec(module) is not None:
            return None
        return importlib.import_module(module)
    except ValueError as exc:  # what find_spec says of a module that is hidden
        raise MissingExtraError(f"{module} is not installed", hint="pip install 'crest[search]'") from exc
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        raise MissingExtraError(f"{module} is not installed", hint="pip install 'crest[search]'") from exc
