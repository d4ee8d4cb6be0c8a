"""What every benchmark shares: its options, its table, and the JSON it leaves behind."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path


def options(description: str, extend: Callable[[argparse.ArgumentParser], None] | None = None) -> argparse.Namespace:
    """The options that every benchmark takes, and those that one adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a bounded part, for CI")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write figures and environment here")
    if extend is not None:
        extend(parser)
    return parser.parse_args()


def report(figures: Mapping[str, float | None], path: Path | None) -> None:
    """Print the figures, and write them where asked."""
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {'-' if value is None else f'{value:.6g}'}")
    if path is not None:
        environment = {"python": platform.python_version(), "machine": platform.machine()}
        environment |= {name: version(name) for name in ("crest", "unicorn", "ziglang", "numpy")}
        path.write_text(json.dumps({"figures": dict(figures), "environment": environment}, indent=2) + "\n")
