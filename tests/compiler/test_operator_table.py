"""The documentation lists what the compiler reads."""

from __future__ import annotations

from crest.compiler.operator_table import operator_table
from crest.compiler.operators import READERS
from tests.conftest import ROOT


def test_the_table_in_the_documentation_is_up_to_date():
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == operator_table(), (
        "write it anew: python -c 'import crest.compiler.operator_table as t; print(t.operator_table(), end=str())'"
        " > docs/operators.md"
    )


def test_every_operator_has_a_row():
    rows = [line.split("|")[1].strip() for line in operator_table().splitlines() if line.startswith("| ")]
    assert rows[1:] == sorted(READERS)
