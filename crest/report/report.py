"""Writes every form of a run's report into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crest.errors import LedgerError
from crest.files import write_atomically
from crest.ledger.records import Record
from crest.report.export import front_csv, front_json
from crest.report.html import render_html
from crest.report.plot import front_png
from crest.report.view import view_run


def write_report(run_dir: Path, records: Sequence[Record], *, supply_volt: float | None = None) -> dict[str, Path]:
    """Write the report of a finished or running run; each file is replaced as a whole.

    Args:
        run_dir: an existing run folder.
        records: the ledger of the run, header first.
        supply_volt: supply of the energy model, for the battery life when the study names a capacity.

    Returns:
        Paths by file name: ``front.csv``, ``front.json``, ``front.png``, ``report.html``.

    Raises:
        LedgerError: the records have no header, or the folder cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    view = view_run(records)
    if view.header is None:
        raise LedgerError(f"{run_dir}: the ledger has no header", hint="point to the folder of a run, runs/<name>")
    contents = {
        "front.csv": front_csv(view).encode(),
        "front.json": front_json(view).encode(),
        "front.png": front_png(view),
        "report.html": render_html(view, supply_volt=supply_volt).encode(),
    }
    paths = {name: run_dir / name for name in contents}
    try:
        for name, content in contents.items():
            write_atomically(paths[name], content)
    except OSError as exc:
        raise LedgerError(f"{run_dir}: the report cannot be written: {exc.strerror}") from exc
    return paths
