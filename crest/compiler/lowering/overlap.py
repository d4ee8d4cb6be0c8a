"""How far an output may reach into the memory of an input that it outlives.

A kernel that walks over positions reads the patch of a position before, and never after, it writes the outputs of later
ones. The output may then lie over the part of the input that has been read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def lag_bytes(window: Mapping[str, int], again: int = 0) -> int:
    """Bytes by which an output of int8 must start before its input, at least, so that no element is overwritten unread.

    Holds for kernels that take positions in order and may read a patch as long as they write its outputs. Negative
    where the output may even start behind the input.

    Args:
        window: initialisers of ``crest_window``.
        again: how many positions back the kernel may read once more.
    """
    top = np.arange(window["out_h"]) * window["stride_h"] - window["pad_top"]
    left = np.arange(window["out_w"]) * window["stride_w"] - window["pad_left"]
    first = (np.maximum(top, 0)[:, None] * window["in_w"] + np.maximum(left, 0)[None, :]).reshape(-1) * window["in_c"]
    unread_from = np.minimum.accumulate(first[::-1])[::-1]
    unread_from = np.concatenate([np.full(again, unread_from[0]), unread_from])[: len(first)]
    written_to = np.arange(1, len(first) + 1) * window["out_c"]
    return int((written_to - unread_from).max())
