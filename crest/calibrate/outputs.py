"""Where a calibration writes: looked at before anything is measured, so that no measurement is lost, nor any file."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import NamedTuple

from crest.errors import OutputError


class Outputs(NamedTuple):
    """Files of a calibration; no table where the rows came from that very file."""

    model: Path
    table: Path | None
    picture: Path

    @property
    def written(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(path for path in self if path is not None)

    @property
    def kept_rows(self) -> Path:
        """A name that does not exist yet, for rows whose model is not written."""
        names = (f".refused{number or ''}.csv" for number in count())
        return next(path for path in map(self.model.with_suffix, names) if not path.exists())


def plan_outputs(model: Path, source: Path | None, force: bool) -> Outputs:
    """Files beside a model, none of which is in the way.

    Args:
        model: its file.
        source: the table that the rows come from, which is never written.
        force: files that exist may be overwritten.

    Raises:
        OutputError: a file cannot be written, or would overwrite another.
    """
    table = model.with_suffix(".csv")
    is_source = source is not None and source.resolve() == table.resolve()
    outputs = Outputs(model, None if is_source else table, model.with_suffix(".png"))
    folder = model.parent
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder", hint="make it first, or name another --output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: nothing can be written there", hint="name another --output")
    for path in outputs.written:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder", hint="name another --output")
        if source is not None and source.resolve() == path.resolve():
            raise OutputError(f"{path}: the measurements are there, and would be lost", hint="name another --output")
        if path.exists() and not force:
            raise OutputError(f"{path}: exists", hint="--force overwrites it; or name another --output")
        if path.exists() and not os.access(path, os.W_OK):
            raise OutputError(f"{path}: cannot be written", hint="name another --output")
    return outputs
