"""Boards as records and tables: quality of their models, sources."""

from __future__ import annotations

import io
import json

from rich.console import Console

from crest.report.targets import summarise, target_table, targets_table
from crest.targets import load_target, target_names


def printed(table):
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def test_every_target_has_a_row():
    summaries = [summarise(load_target(name)) for name in target_names()]
    text = printed(targets_table(summaries))
    for one in summaries:
        assert one.name in text and one.core in text and f"{max(one.clock_mhz):g} MHz" in text
        assert one.sources and one.cycle_model.quality in ("declared", "fitted")
        assert json.loads(one.model_dump_json())["ships"] is True


def test_qualities_follow_the_coefficients(monkeypatch):
    target = load_target("nano33ble")
    one = summarise(target)
    assert (one.energy_model.quality, one.energy_model.origin) == ("declared", "datasheet, declared")
    bare = summarise(target.model_copy(update={"name": "bare"}))
    assert (bare.energy_model.quality, bare.energy_model.statements) == ("none", ())
    fitted = target.fetch_stall_factor.model_copy(update={"kind": "fit"})
    assert summarise(target.model_copy(update={"fetch_stall_factor": fitted})).cycle_model.quality == "fitted"


def test_one_board_in_full_gives_its_grounds_and_sources():
    text = printed(target_table(summarise(load_target("nano33ble"))))
    for words in (
        "0x20000000",
        "960 KiB",
        "whole_board at supply not stated: published",
        "STM32F446, 948 convolutions",
    ):
        assert words in text
    assert "Arduino core for the board" in text
