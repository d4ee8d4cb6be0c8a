from hypothesis import given
from hypothesis import strategies as st

from crest.pareto import dominates, front, non_dominated

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


@given(points_2d, st.randoms(use_true_random=False))
def test_of_equal_points_a_front_holds_one_of_each_owner(points, random):
    owners = [random.randrange(3) for _ in points]
    chosen = front(points, owners)
    assert chosen == sorted(chosen)
    pairs = list(zip(owners, points, strict=True))
    assert {pairs[index] for index in chosen} == {pairs[index] for index in non_dominated(points)}
    assert all(pairs[index] not in pairs[:index] for index in chosen)
