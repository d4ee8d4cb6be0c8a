"""Finds the asset folders (emulation/, energy_models/, firmware/) in a checkout and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

from crest.errors import AssetError, OutputError

_PACKAGE = Path(__file__).resolve().parent
_ROOTS = (_PACKAGE / "_assets", _PACKAGE.parent)


def asset_path(*parts: str) -> Path:
    """Return the path of an asset, for example ``asset_path("emulation", "targets")``.

    Raises:
        AssetError: when neither the wheel nor the checkout holds it.
    """
    for root in _ROOTS:
        candidate = root.joinpath(*parts)
        if candidate.exists():
            return candidate
    raise AssetError(
        f"asset {'/'.join(parts)!r} is missing from this installation",
        hint="reinstall the package; a wheel carries emulation/, energy_models/ and firmware/",
    )


def cache_dir(*parts: str) -> Path:
    """Return (and create) a folder for rebuildable files: ``$CREST_CACHE``, else the user's cache folder.

    Raises:
        OutputError: it cannot be created.
    """
    base = os.environ.get("CREST_CACHE") or os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    path = root.joinpath(*([] if os.environ.get("CREST_CACHE") else ["crest"]), *parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"the cache folder {path} cannot be created: {exc.strerror}", hint="point CREST_CACHE to a folder of yours"
        ) from exc
    return path
