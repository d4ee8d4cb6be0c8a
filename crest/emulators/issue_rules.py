"""Constants by which a dual-issue core issues instructions: section ``issue`` of ``emulation/cores/<core>.yaml``."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

from pydantic import Field, model_validator

from crest.assets import asset_path
from crest.errors import AssetError
from crest.frozen import Frozen
from crest.yaml_io import load_yaml, validate

Reader = Literal["early", "early_alu", "alu", "factor", "accumulator", "store", "fp", "fp_accumulator", "fp_move"]
"""Who reads a register: addresses and shifters, an addition that would execute early, other arithmetic, factors and
addends of products, stored data, operands of the FPU, its accumulators, moves out of it."""

Result = Literal[
    "late", "early", "reversed", "base", "word", "narrow", "product", "saturated",
    "fp_sum", "fp_fused", "fp_chained", "fp_word", "fp_moved",
]  # fmt: skip
"""What made the value of a register."""


class Latency(Frozen):
    """Cycles from the issue of the producer to the first in which each kind of reader can be issued."""

    readers: dict[Reader, int]
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _all_readers(self) -> Latency:
        missing = set(get_args(Reader)) - set(self.readers)
        if missing or min(self.readers.values()) < 0:
            raise ValueError(f"needs cycles >= 0 for every reader; missing: {', '.join(sorted(missing)) or 'none'}")
        return self


class StoreBuffer(Frozen):
    """Stores of bytes and halfwords leave it more slowly than they can be issued."""

    entries: int = Field(ge=1)
    cycles_per_narrow_store: float = Field(ge=1)
    source: str = Field(min_length=1)


class Blocking(Frozen):
    """Cycles for which an instruction keeps the issue stage to itself, by mnemonic with its type."""

    cycles: dict[str, int]
    source: str = Field(min_length=1)


class IssueRules(Frozen):
    """Constants of ``pairing.py``."""

    latencies: dict[Result, Latency]
    blocking: Blocking
    cycles_after_fused: int = Field(ge=0)
    flag_cycles_for_early_resolution: int = Field(ge=0)
    narrow_before_pair_across_branch: int = Field(ge=0)
    store_buffer: StoreBuffer
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _all_results(self) -> IssueRules:
        if missing := set(get_args(Result)) - set(self.latencies):
            raise ValueError(f"latencies lacks {', '.join(sorted(missing))}")
        return self


@cache
def issue_rules(core: str = "cortex-m7") -> IssueRules:
    """Read the issue rules of a core.

    Raises:
        AssetError: its file has none, or they are malformed.
    """
    path = asset_path("emulation", "cores", f"{core}.yaml")
    rules = load_yaml(path, AssetError).get("issue")
    if not isinstance(rules, dict):
        raise AssetError(f"{path}: no section 'issue'")
    return validate(rules, IssueRules, f"{path}: issue", AssetError)
