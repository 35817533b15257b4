import math

import pytest

from server.verdict.noise import MIN_DEVIATION, Noise, pooled_noise


def test_variances_are_averaged_by_their_degrees_of_freedom():
    # Variances 1 of two degrees and 2 of one: (2 × 1 + 1 × 2) / 3. The single run adds nothing.
    noise = pooled_noise([[1.0, 2.0, 3.0], [2.0, 4.0], [7.0]])
    assert noise == Noise(deviation=math.sqrt(4 / 3), degrees=3)


def test_means_of_experiments_do_not_add_to_the_noise():
    near = pooled_noise([[1.0, 2.0, 3.0], [2.0, 4.0]])
    assert pooled_noise([[1.0, 2.0, 3.0], [102.0, 104.0]]) == near


@pytest.mark.parametrize("groups", [[], [[]], [[4.6], [4.7]]])
def test_there_is_no_noise_without_an_experiment_of_two_runs(groups):
    assert pooled_noise(groups) is None


def test_runs_that_agree_to_the_last_bit_keep_the_least_deviation():
    noise = pooled_noise([[4.6] * 5, [4.5, 4.5]])
    assert noise == Noise(deviation=MIN_DEVIATION, degrees=5)


def test_an_experiment_five_times_as_noisy_is_the_last_that_counts():
    # Deviations 1 and 5, two degrees each: (2 × 1 + 2 × 25) / 4.
    kept = pooled_noise([[1.0, 2.0, 3.0], [0.0, 5.0, 10.0]])
    assert kept == Noise(deviation=math.sqrt(13), degrees=4)
    left_out = pooled_noise([[1.0, 2.0, 3.0], [0.0, 5.1, 10.2]])
    assert left_out == Noise(deviation=1.0, degrees=2)


def test_two_runs_that_agree_by_chance_do_not_push_the_baseline_out():
    # The baseline's four degrees outweigh the one of the pair: variance (4 × 2.5 + 0) / 5.
    noise = pooled_noise([[4.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    assert noise == Noise(deviation=math.sqrt(2), degrees=5)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused(loss):
    with pytest.raises(ValueError, match=f"groups holds {loss}; .* must be a finite number"):
        pooled_noise([[4.6, loss]])
