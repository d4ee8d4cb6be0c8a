"""Flame graphs of a profile: folded stacks (flamegraph.pl, inferno) and speedscope's file format."""

from __future__ import annotations

import json

from crest.profiling.report import FirmwareProfile


def folded_stacks(profile: FirmwareProfile) -> str:
    """A line for each calling context: functions joined by ``;``, a space, whole cycles."""
    lines = []
    for path in profile.paths:
        cycles = round(path.cycles)
        if cycles:
            lines.append(f"{';'.join(name.replace(';', ':') for name in path.functions)} {cycles}")
    return "".join(f"{line}\n" for line in sorted(lines))


def speedscope(profile: FirmwareProfile, name: str) -> str:
    """A document of https://www.speedscope.app; weights are cycles.

    Args:
        profile: what to show.
        name: shown as its title.
    """
    numbers: dict[str, int] = {}
    frames: list[dict[str, str | int]] = []
    for function in profile.functions:
        numbers[function.name] = len(frames)
        frame: dict[str, str | int] = {"name": function.name}
        if function.file is not None and function.line is not None:
            frame |= {"file": function.file, "line": function.line}
        frames.append(frame)
    paths = sorted(profile.paths, key=lambda path: path.functions)
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": "crest profile",
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [
            {
                "type": "sampled",
                "name": f"{name}: cycles by calling context",
                "unit": "none",
                "startValue": 0,
                "endValue": sum(path.cycles for path in paths),
                "samples": [[numbers[function] for function in path.functions] for path in paths],
                "weights": [path.cycles for path in paths],
            }
        ],
    }
    return json.dumps(document) + "\n"
