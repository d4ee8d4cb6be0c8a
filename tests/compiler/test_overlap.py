"""How far outputs may lie over inputs that have been read: against a plain walk over the elements."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crest.compiler.lowering.overlap import lag_bytes

small = st.integers(1, 3)


def window(in_h, in_w, in_c, out_c, k_h, k_w, stride, dilation, pad):
    out = [max((size + 2 * pad - (k - 1) * dilation - 1) // stride + 1, 1) for size, k in ((in_h, k_h), (in_w, k_w))]
    return {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out[0], "out_w": out[1], "out_c": out_c, "k_h": k_h,
        "k_w": k_w, "stride_h": stride, "stride_w": stride, "dilation_h": dilation, "dilation_w": dilation,
        "pad_top": pad, "pad_left": pad,
    }  # fmt: skip


def overwrites_unread(w, lag):
    """Whether some output lands on an input byte that its own or a later position reads; the output starts at 0."""
    positions = [(y, x) for y in range(w["out_h"]) for x in range(w["out_w"])]
    reads = []
    for y, x in positions:
        rows = [y * w["stride_h"] - w["pad_top"] + i * w["dilation_h"] for i in range(w["k_h"])]
        columns = [x * w["stride_w"] - w["pad_left"] + j * w["dilation_w"] for j in range(w["k_w"])]
        inside = [(r, c) for r in rows for c in columns if 0 <= r < w["in_h"] and 0 <= c < w["in_w"]]
        reads.append({(r * w["in_w"] + c) * w["in_c"] + k + lag for r, c in inside for k in range(w["in_c"])})
    for number in range(len(positions)):
        written = set(range(number * w["out_c"], (number + 1) * w["out_c"]))
        if any(written & later for later in reads[number:]):
            return True
    return False


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(1, 6), st.integers(1, 6), small, small, small, small, small, small, st.integers(0, 2)))
def test_an_output_that_starts_that_much_before_its_input_overwrites_nothing_unread(sizes):
    w = window(*sizes)
    lag = lag_bytes(w)
    assert not overwrites_unread(w, lag)
    assert not overwrites_unread(w, lag + 4)


def test_the_lag_is_no_larger_than_it_must_be():
    w = window(8, 8, 4, 4, 3, 3, 1, 1, 1)
    assert lag_bytes(w) == (8 + 1) * 4 + 4
    assert overwrites_unread(w, lag_bytes(w) - 1)
    assert lag_bytes(window(1, 1, 64, 10, 1, 1, 1, 1, 0)) == 10
