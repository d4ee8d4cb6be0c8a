import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.pareto import dominates, hypervolume, non_dominated

# Few different values, so that ties and equal points are common.
coordinates = st.integers(min_value=0, max_value=4)
points_2d = st.lists(st.tuples(coordinates, coordinates), max_size=12)
points_3d = st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=8)
either = st.one_of(points_2d, points_3d)


def by_definition(left, right):
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


@given(either)
def test_the_front_is_what_nothing_dominates(points):
    front = set(non_dominated(points))
    for index, point in enumerate(points):
        beaten = any(by_definition(other, point) for other in points)
        assert (index in front) == (not beaten)


@given(either)
def test_everything_off_the_front_is_dominated_from_the_front(points):
    front = non_dominated(points)
    for index in set(range(len(points))) - set(front):
        assert any(dominates(points[member], points[index]) for member in front)
    assert front == sorted(front)
    assert bool(front) == bool(points)


@given(points_2d)
def test_equal_points_stand_or_fall_together(points):
    front = {points[index] for index in non_dominated(points)}
    assert all((index in non_dominated(points)) == (point in front) for index, point in enumerate(points))


def cells(points, reference):
    """Unit cells of the integer grid that some point dominates."""
    return sum(
        any(all(a <= b for a, b in zip(point, cell, strict=True)) for point in points)
        for cell in itertools.product(*(range(end) for end in reference))
    )


@given(points_2d, st.tuples(coordinates, coordinates))
def test_hypervolume_counts_cells_in_2d(points, reference):
    assert hypervolume(points, reference) == cells(points, reference)


@given(points_3d, st.tuples(coordinates, coordinates, coordinates))
def test_hypervolume_counts_cells_in_3d(points, reference):
    assert hypervolume(points, reference) == cells(points, reference)


def test_hypervolume_of_one_objective_and_of_none():
    assert hypervolume([(0.25,), (0.5,)], (1.0,)) == 0.75
    assert hypervolume([], (1.0, 1.0)) == 0.0
    assert hypervolume([(2.0, 0.0)], (1.0, 1.0)) == 0.0


def test_hypervolume_of_a_large_front_is_quick_and_right():
    chance = random.Random(3)
    points = [(x, 1 - x) for x in sorted(chance.random() for _ in range(300))]
    steps = [points[0][0], *(right[0] - left[0] for left, right in itertools.pairwise(points)), 1 - points[-1][0]]
    expected = sum(width * (1 - point[1]) for width, point in zip(steps[1:], points, strict=True))
    assert hypervolume(points, (1.0, 1.0)) == pytest.approx(expected)


def test_points_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        dominates((1, 2), (1,))
