"""When and where a record was made."""

from __future__ import annotations

import platform
from datetime import UTC, datetime


def stamp() -> dict[str, str]:
    """The ``recorded_at`` (UTC, ISO 8601) and ``host`` fields of a record made now."""
    return {"recorded_at": datetime.now(UTC).isoformat(timespec="seconds"), "host": platform.node()}
