"""A script for Renode's Python (2.7) that is the register model ``registers``: storage with ready flags."""

from __future__ import annotations

from typing import Final

from crest.targets import Peripheral

# Names of a request begin with a capital in newer versions of Renode.
_SCRIPT: Final = """\
def name(text):
    return text if hasattr(request, text) else text[0].upper() + text[1:]

def get(text):
    return getattr(request, name(text))

if get('isInit'):
    words = {words}
    leaders = {leaders}
else:
    register, shift = get('offset') & ~3, 8 * (get('offset') & 3)
    mask = (1 << 8 * get('length')) - 1
    if get('isRead'):
        word = words.get(register, 0)
        for flag, leader, bit, inverted in leaders.get(register, []):
            word = word & ~(1 << flag) | ((words.get(leader, 0) >> bit & 1) ^ inverted) << flag
        setattr(request, name('value'), word >> shift & mask)
    else:
        kept = words.get(register, 0) & ~(mask << shift)
        words[register] = (kept | (get('value') & mask) << shift) & 0xFFFFFFFF
"""


def registers_script(peripheral: Peripheral) -> str | None:
    """The script of a peripheral; None when it is plain storage, which needs none."""
    leaders: dict[int, list[tuple[int, int, int, int]]] = {}
    for inverted, rules in enumerate((peripheral.follows, peripheral.follows_clear)):
        for offset, followers in rules.items():
            for bit, follower in followers.items():
                register, flag = (offset, follower) if isinstance(follower, int) else follower
                leaders.setdefault(register, []).append((flag, offset, bit, inverted))
    if not leaders:
        return None
    return _SCRIPT.replace("{words}", repr(dict(peripheral.registers))).replace("{leaders}", repr(leaders))
