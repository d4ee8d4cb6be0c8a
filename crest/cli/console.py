"""Where commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from crest.errors import OutputError

results = Console()
errors = Console(stderr=True, soft_wrap=True)


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file that the user asked for.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc
