"""How well a calibration fits: predicted over measured energy, and the error of each row."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from crest.calibrate.models import Calibration
from crest.calibrate.rows import PowerRow
from crest.models.extras import require_search_extra

_GROUPS = (("probe", "probes, fitted", "#9aa3ad", "o"), ("network", "networks, each left out", "#0b63c5", "D"))


def calibration_png(calibration: Calibration, rows: Sequence[PowerRow], title: str) -> bytes:
    """Draw a calibration as PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = require_search_extra("matplotlib.figure").Figure(figsize=(10.4, 4.6), dpi=130, layout="constrained")
    energies, errors = figure.subplots(1, 2)
    measured = np.array([row.energy_uj for row in rows])
    ratios = calibration.fit.energy_uj(rows) / measured
    for index, row in enumerate(rows):
        if row.run.group == "network":
            ratios[index] = 1 / calibration.left_out.get(index, 1 / ratios[index])
    for group, label, colour, marker in _GROUPS:
        inside = np.array([row.run.group == group for row in rows])
        if inside.any():
            style = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 5, "label": label}
            energies.plot(measured[inside], (ratios * measured)[inside], **style)
            errors.plot(np.flatnonzero(inside), 100 * (ratios[inside] - 1), **style)
    ends = [float(measured.min()), float(measured.max())]
    energies.plot(ends, ends, color="#1c2128", linewidth=0.8)
    energies.set(xscale="log", yscale="log", xlabel="measured energy of a repetition, uJ", ylabel="predicted, uJ")
    errors.axhline(0, color="#1c2128", linewidth=0.8)
    errors.set(ylabel="predicted / measured - 1, %")
    errors.set_xticks(range(len(rows)), [row.run.name for row in rows], rotation=90, fontsize=5)
    for axis in (energies, errors):
        axis.grid(color="#e3e6ea", linewidth=0.6)
        axis.legend(fontsize=8)
    figure.suptitle(title, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
