"""The base of every record that is read from or written to a file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, and strict about its keys: an unknown key is an error, not a surprise later."""

    model_config = ConfigDict(frozen=True, extra="forbid")
