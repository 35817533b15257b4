import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from server.verdict.difference import Side, difference
from server.verdict.noise import Noise

NO_FLOOR = Noise(deviation=1e-6, degrees=10)

# Whole multiples of 1/1024, so that shifting and doubling round nothing.
LOSSES = st.lists(st.integers(0, 8192).map(lambda n: n / 1024), min_size=1, max_size=8)
NOISE = st.builds(
    Noise, deviation=st.integers(1, 2048).map(lambda n: n / 1024), degrees=st.integers(1, 100)
)


def differ(a, b, noise, confidence=0.99):
    return difference(Side.of("a", a, noise), Side.of("b", b, noise), noise, confidence)


def test_without_a_floor_the_variances_add_up_as_in_welch_s_test():
    a = [17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8]
    b = [21.5, 22.8, 21.0, 23.0, 21.6, 23.6, 22.5, 20.7, 23.4, 21.8]
    b += [20.7, 21.7, 21.5, 22.5, 23.6, 21.5, 22.5, 23.5, 21.5, 21.8]
    found = differ(a, b, NO_FLOOR)
    standard_error = found.delta / stats.ttest_ind(a, b, equal_var=False).statistic
    # Student's t for 99 %, 10 degrees of freedom, is 3.1693 in the usual tables.
    assert found.half_width == pytest.approx(3.1693 * standard_error, rel=1e-5)


def test_one_run_takes_the_pool_s_deviation():
    # Student's t for 99.8 %, 4 degrees of freedom, is 7.1732 in the usual tables.
    noise = Noise(deviation=0.01, degrees=4)
    found = differ([4.5], [4.6] * 5, noise, 0.998)
    assert found.delta == pytest.approx(-0.1)
    assert found.half_width == pytest.approx(7.1732 * 0.01 * math.sqrt(1 + 1 / 5), rel=1e-5)


def test_a_noisier_side_keeps_its_own_deviation_and_takes_the_pool_s_degrees():
    # a: deviation 1, three runs, variance of the mean 1/3. b: the pool's 0.5 over five runs, 0.05.
    # 3.1693, of 99 % and the pool's 10 degrees, times sqrt(1/3 + 0.05) is 1.96223.
    found = differ([1.0, 2.0, 3.0], [0.0] * 5, Noise(deviation=0.5, degrees=10))
    assert (found.low, found.high) == pytest.approx((2 - 1.96223, 2 + 1.96223), abs=2e-5)


def test_a_noisier_other_side_is_weighed_by_its_own_runs():
    # a: the pool's 0.5 over three runs, 1/12. b: variance 2.5 over five runs, 0.5.
    # 3.1693 × sqrt(1/12 + 0.5) = 2.42059.
    found = differ([1.0] * 3, [1.0, 2.0, 3.0, 4.0, 5.0], Noise(deviation=0.5, degrees=10))
    assert (found.delta, found.half_width) == pytest.approx((-2, 2.42059), abs=2e-5)


def test_runs_that_agree_by_chance_do_not_narrow_the_interval():
    noise = Noise(deviation=0.01, degrees=20)
    assert differ([4.5] * 3, [4.6] * 5, noise) == differ([4.49, 4.5, 4.51], [4.6] * 5, noise)


@given(LOSSES, LOSSES, NOISE, st.integers(-4096, 4096))
def test_shifting_both_sides_changes_nothing(a, b, noise, shift):
    moved = differ([x + shift / 1024 for x in a], [x + shift / 1024 for x in b], noise)
    assert astuple(moved) == pytest.approx(astuple(differ(a, b, noise)), rel=1e-9, abs=1e-12)


@given(LOSSES, LOSSES, NOISE, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_scaling_losses_and_noise_scales_the_interval(a, b, noise, scale):
    scaled_noise = Noise(deviation=noise.deviation * scale, degrees=noise.degrees)
    scaled = differ([x * scale for x in a], [x * scale for x in b], scaled_noise)
    found = differ(a, b, noise)
    assert (scaled.low, scaled.high) == pytest.approx((found.low * scale, found.high * scale))


@given(LOSSES, LOSSES, NOISE)
def test_swapping_the_sides_mirrors_the_interval(a, b, noise):
    found, mirrored = differ(a, b, noise), differ(b, a, noise)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


@given(LOSSES, LOSSES, NOISE)
def test_the_floor_never_lets_the_interval_be_narrower_than_the_pool_s(a, b, noise):
    least = noise.deviation * math.sqrt(1 / len(a) + 1 / len(b))
    assert differ(a, b, noise, 0.99).half_width >= stats.norm.ppf(0.995) * least


def test_a_side_without_runs_is_refused():
    with pytest.raises(ValueError, match=r"losses is empty; .* at least one run of each side"):
        Side.of("losses", [], NO_FLOOR)


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"losses holds nan; .* must be a finite number"):
        Side.of("losses", [4.6, math.nan], NO_FLOOR)


@pytest.mark.parametrize("confidence", [0, 1, 99, math.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(ValueError, match=f"confidence is {confidence}; .* between 0 and 1"):
        differ([1.0], [2.0], NO_FLOOR, confidence)
