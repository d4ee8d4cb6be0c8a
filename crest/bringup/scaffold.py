"""Starts a target of the user's from one that exists: its file, every key explained, and its firmware folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from crest.errors import OutputError, StudyError
from crest.targets import NAME_PATTERN, Target, load_target, target_names, target_path

TODO: Final = "TODO"
"""What the scaffold leaves to be written, and the lint finds."""

# A key `reason` with its continuation lines: the reason of one chip is none of another.
_REASON: Final = re.compile(r"^( +)reason:.*\n(?:\1 .*\n)*", re.MULTILINE)
_HEADER: Final = """\
# A target of your own, started from {origin}: replace what is not true of your board, then
#   crest target lint {name}.yaml
"""


def scaffold_target(name: str, origin: str, folder: Path) -> tuple[Path, Path]:
    """Write ``<name>.yaml`` and the firmware folder ``<name>/`` into a folder.

    Args:
        name: of the new target.
        origin: the target to start from: a shipped name, or the path of a .yaml.
        folder: created when it does not exist.

    Returns:
        The target file and the firmware folder.

    Raises:
        StudyError: a name that cannot be one, or that a shipped target has; an unknown origin.
        AssetError: the origin is malformed.
        OutputError: one of the two exists, or cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise StudyError(f"{name!r} cannot name a target", hint="letters, digits, dots, dashes and underscores")
    if name in target_names():
        raise StudyError(f"a target {name!r} ships with CREST", hint="choose another name for yours")
    target, text = load_target(origin), target_path(origin).read_text(encoding="utf-8")
    file, board = folder / f"{name}.yaml", folder / name
    for path in (file, board):
        if path.exists():
            raise OutputError(f"{path}: exists already", hint="move it away, or choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(target_text(name, target.name, text), encoding="utf-8")
        board.mkdir()
        for source in (source for shared in target.board_folders for source in shared.glob("*.[ch]")):
            shutil.copyfile(source, board / source.name)
    except OSError as exc:
        raise OutputError(f"{folder}: cannot be written: {exc.strerror}") from exc
    return file, board


def target_text(name: str, origin: str, text: str) -> str:
    """The text of an existing target file as that of a new one, each key under a comment that says what it is."""
    written = {
        "name": f"name: {name}\n",
        "description": f'description: "{TODO}: the board"\n',
        "firmware_board": f"firmware_board: {name}\n",
        "sources": f'sources:\n  facts:\n    - "{TODO}: document, revision and page of each fact above"\n',
    }
    parts = [_HEADER.format(name=name, origin=origin)]
    for key, block in _top_level(text):
        field = Target.model_fields.get(key)
        if field is not None and field.description:
            parts.append(f"# {field.description}\n")
        open_reason = rf'\1reason: "{TODO}: taken over from {origin}; why should it hold here?"' + "\n"
        parts.append(_REASON.sub(open_reason, written.get(key, block)))
    return "".join(parts)


def _top_level(text: str) -> list[tuple[str, str]]:
    """(key, its lines) of the top-level keys of a YAML file in block style; comments go with the key they follow."""
    blocks: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        found = re.match(r"([A-Za-z_]\w*):", line)
        if found:
            blocks.append((found.group(1), line))
        elif blocks:
            blocks[-1] = (blocks[-1][0], blocks[-1][1] + line)
    return blocks
