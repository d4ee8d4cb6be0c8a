"""Ledger to tables, plots and HTML.

``write_report`` leaves front.csv, front.json, front.png and report.html in the run folder; ``front_table`` and
``measurement_table`` return what rich prints.
"""

from crest.report.report import write_report
from crest.report.tables import front_table, measurement_table

__all__ = ["front_table", "measurement_table", "write_report"]
