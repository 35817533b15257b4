import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.downsampling import MAX_POINTS, kept_indices


def test_short_curve_is_kept_whole() -> None:
    assert kept_indices([3.0, 1.0, 2.0], limit=4) == [0, 1, 2]


def test_each_stretch_keeps_its_extremes() -> None:
    # First and last; of the inner 1..8 two stretches 1..4 and 5..8 with their extremes.
    values = [0.0, 5.0, 1.0, 2.0, 9.0, 3.0, 3.5, 2.5, 3.0, 0.0]
    assert kept_indices(values, limit=6) == [0, 2, 4, 6, 7, 9]


def test_spike_of_one_step_survives() -> None:
    values = [1.0] * 60_000
    values[31_234] = 80.0
    kept = kept_indices(values)
    assert 31_234 in kept
    assert len(kept) <= MAX_POINTS


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=400),
    st.integers(min_value=4, max_value=50),
)
def test_keeps_ends_and_extremes_within_the_limit(values: list[float], limit: int) -> None:
    kept = kept_indices(values, limit)
    assert kept == sorted(set(kept))
    assert len(kept) <= max(limit, 0)
    if values:
        assert kept[0] == 0
        assert kept[-1] == len(values) - 1
        assert max(values[i] for i in kept) == max(values)
        assert min(values[i] for i in kept) == min(values)


def test_limit_below_four_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        kept_indices([1.0], limit=3)
