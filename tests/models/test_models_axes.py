"""Axes of a search space and their restriction by a study."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.errors import ModelError, StudyError
from crest.models.axes import CategoricalAxis, IntAxis, SubsetAxis, narrow_space
from crest.models.family import check_candidate, family_names, load_family

SUBSETS = SubsetAxis((1, 2, 4, 8, 16), 2, 4)
CHOICES = CategoricalAxis((True, False, 0.0, 0.5, "late"))


def test_published_space_has_its_published_size() -> None:
    space = load_family("tcn").space
    assert math.prod(axis.size for axis in space.values()) == 8_072_400
    assert space["dilations"].size == 465


@given(st.integers(0, 2**32 - 1))
def test_samples_lie_on_their_axes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for axis in (IntAxis(2, 5), CHOICES, SUBSETS, SUBSETS.narrow([[1, 2], [4, 16]])):
        assert axis.contains(axis.sample(rng))


def test_every_subset_can_be_drawn_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [SUBSETS.sample(rng) for _ in range(5000)]
    counts = {value: drawn.count(value) for value in set(drawn)}
    assert len(counts) == SUBSETS.size == 25
    assert min(counts.values()) > 130 and max(counts.values()) < 270


def test_flags_and_subsets_are_one_to_one() -> None:
    held = [SUBSETS.from_flags(flags) for flags in itertools.product((False, True), repeat=5)]
    members = [value for value in held if value is not None]
    assert len(members) == len(set(members)) == SUBSETS.size
    assert all(SUBSETS.from_flags(SUBSETS.flags(value)) == value for value in members)
    assert SUBSETS.from_flags([True, False, False, False, False]) is None


@pytest.mark.parametrize(
    ("axis", "value", "inside"),
    [
        (IntAxis(2, 5), 5, True),
        (IntAxis(0, 5), True, False),
        (IntAxis(2, 5), 2.0, False),
        (CHOICES, 0, True),
        (CHOICES, "later", False),
        (CategoricalAxis((True, False)), 1, False),
        (SUBSETS, [2, 8], True),
        (SUBSETS, (8, 2), False),
        (SUBSETS, (2, 2), False),
        (SUBSETS, (2, 3), False),
        (SUBSETS, (2,), False),
        (SUBSETS, 2, False),
        (SUBSETS, (1, 2, 4, 8, 16), False),
    ],
)
def test_contains(axis: object, value: object, inside: bool) -> None:
    assert axis.contains(value) is inside  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("axis", "spec", "size"),
    [
        (IntAxis(2, 63), [2, 32], 31),
        (IntAxis(2, 63), 16, 1),
        (CHOICES, ["late", True], 2),
        (CHOICES, 0.5, 1),
        (SUBSETS, {"elements": [1, 2, 4]}, 4),
        (SUBSETS, {"max_size": 2}, 10),
        (SUBSETS, {"elements": [4, 2, 1], "min_size": 3}, 1),
        (SUBSETS, [[1, 4], [2, 4, 8]], 2),
    ],
)
def test_narrow(axis: object, spec: object, size: int) -> None:
    narrowed = axis.narrow(spec, "space.a")  # type: ignore[attr-defined]
    assert narrowed.size == size
    rng = np.random.default_rng(0)
    assert all(axis.contains(narrowed.sample(rng)) for _ in range(20))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("axis", "spec"),
    [
        (IntAxis(2, 63), [2, 64]),
        (IntAxis(2, 63), [9, 3]),
        (IntAxis(2, 63), [2, 3, 4]),
        (IntAxis(0, 63), True),
        (IntAxis(2, 63), "many"),
        (IntAxis(2, 63), [2.0, 4.0]),
        (IntAxis(2, 63), None),
        (CHOICES, []),
        (CHOICES, [0.7]),
        (CHOICES, [0.5, 0.5]),
        (CategoricalAxis((True, False)), [1]),
        (CHOICES, {"a": 1}),
        (SUBSETS, 3),
        (SUBSETS, [1, 2, 4]),
        (SUBSETS, []),
        (SUBSETS, [[1, 2], [1, 2]]),
        (SUBSETS, [[2, 1]]),
        (SUBSETS, {"elements": [1, 3]}),
        (SUBSETS, {"elements": [1, 1, 2]}),
        (SUBSETS, {"elements": [1]}),
        (SUBSETS, {"elements": 4}),
        (SUBSETS, {"min_size": 4, "max_size": 3}),
        (SUBSETS, {"min_size": 1}),
        (SUBSETS, {"max_size": 5}),
        (SUBSETS, {"max_size": "two"}),
        (SUBSETS, {"most": 2}),
        (SUBSETS.narrow([[1, 2]]), {"max_size": 2}),
    ],
)
def test_nonsense_names_the_axis(axis: object, spec: object) -> None:
    with pytest.raises(StudyError, match=r"space\.a"):
        axis.narrow(spec, "space.a")  # type: ignore[attr-defined]


def test_a_space_keeps_what_is_not_named() -> None:
    space = load_family("tcn").space
    narrowed = narrow_space(space, {"nb_filters": [2, 32], "dropout": 0.0})
    assert narrowed["nb_filters"] == IntAxis(2, 32)
    assert narrowed["dropout"] == CategoricalAxis((0.0,))
    assert narrowed["dilations"] == space["dilations"]
    with pytest.raises(StudyError, match=r"model\.space: unknown axis 'nb_filter'; did you mean 'nb_filters'"):
        narrow_space(space, {"nb_filter": 3}, "model.space")


def test_families_by_name() -> None:
    assert "tcn" in family_names()
    assert load_family("tcn").name == "tcn"
    with pytest.raises(StudyError, match="did you mean 'tcn'"):
        load_family("tcnn")


@pytest.mark.parametrize(
    ("change", "fragment"), [({"extra": 1}, "not an axis"), ({"a": None}, "no value"), ({"a": 9}, "outside")]
)
def test_candidates_are_checked(change: dict, fragment: str) -> None:
    candidate = {key: value for key, value in ({"a": 3} | change).items() if value is not None}
    with pytest.raises(ModelError, match=fragment):
        check_candidate({"a": IntAxis(1, 5)}, candidate)
