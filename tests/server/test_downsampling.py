from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.downsampling import MAX_POINTS, Curve

finite = st.floats(allow_nan=False, allow_infinity=False)
limits = st.integers(min_value=4, max_value=50)


def curve(values: Sequence[float], steps: Sequence[int] | None = None) -> Curve:
    """Values at some steps, by default from 0 on."""
    places = tuple(range(len(values)) if steps is None else steps)
    return Curve(places, places, tuple(map(float, places)), tuple(values))


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Up to 400 values at rising steps, some of them far apart."""
    gaps = draw(st.lists(st.integers(min_value=1, max_value=90), max_size=400))
    steps = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    return curve(draw(st.lists(finite, min_size=len(gaps), max_size=len(gaps))), steps)


def test_short_curve_is_kept_whole() -> None:
    short = curve([3.0, 1.0, 2.0])
    assert short.condensed(limit=4) is short
    assert Curve().condensed() == Curve()


def test_each_stretch_keeps_its_extremes() -> None:
    # Two stretches of eight steps, 0..7 and 8..9: their extremes, first and last.
    found = curve([0.0, 5.0, 1.0, 2.0, 9.0, 3.0, 3.5, 2.5, 3.0, 0.5]).condensed(limit=6)
    assert found == Curve((0, 4, 8, 9), (0, 4, 8, 9), (0.0, 4.0, 8.0, 9.0), (0.0, 9.0, 3.0, 0.5), 3)


def test_spike_of_one_step_survives() -> None:
    values = [1.0] * 60_000
    values[31_234] = 80.0
    found = curve(values).condensed()
    assert (31_234, 80.0) in zip(found.steps, found.values, strict=True)
    assert len(found.steps) <= MAX_POINTS


@given(curves(), limits)
def test_keeps_ends_and_extremes_within_the_limit(whole: Curve, limit: int) -> None:
    found = whole.condensed(limit)
    assert list(found.steps) == sorted(set(found.steps))
    assert len(found.steps) <= limit
    known = dict(zip(whole.steps, whole.values, strict=True))
    assert all(known[step] == one for step, one in zip(found.steps, found.values, strict=True))
    if whole.steps:
        assert (found.steps[0], found.steps[-1]) == (whole.steps[0], whole.steps[-1])
        assert (min(found.values), max(found.values)) == (min(whole.values), max(whole.values))


@given(curves(), limits, st.lists(st.integers(min_value=0, max_value=400), max_size=4))
def test_a_curve_that_grew_is_condensed_as_all_its_points_at_once(
    whole: Curve, limit: int, cuts: list[int]
) -> None:
    found = Curve()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 400], strict=True):
        part = curve(whole.values[start:stop], whole.steps[start:stop])
        found = found.followed_by(part).condensed(limit)
    assert found == whole.condensed(limit)


def test_limit_below_four_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        curve([1.0]).condensed(limit=3)
