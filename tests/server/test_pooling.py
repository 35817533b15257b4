import math

import pytest

from core.schema.result import RunResult
from server.pooling import MeasuredRun, pool
from tests.server.factories import run_result


def measured(*results: RunResult, cost_usd: float | None = 0.5) -> list[MeasuredRun]:
    return [MeasuredRun(result, cost_usd) for result in results]


def test_losses_are_averaged_and_their_deviation_is_of_the_sample() -> None:
    pooled = pool(measured(run_result(1000, 2.0), run_result(1001, 2.2), run_result(1002, 2.4)))
    assert pooled.val_loss == pytest.approx(2.2)
    # Squares of -0.2, 0 and 0.2 sum to 0.08; over n - 1 = 2 that is 0.04, whose root is 0.2.
    assert pooled.val_loss_deviation == pytest.approx(0.2)
    assert pooled.val_perplexity == pytest.approx(math.exp(2.2))
    assert (pooled.num_runs, pooled.num_seeds) == (3, 3)


def test_one_run_has_no_deviation() -> None:
    assert pool(measured(run_result())).val_loss_deviation is None


def test_the_same_seed_twice_is_one_seed_and_two_runs() -> None:
    pooled = pool(measured(run_result(1000, 2.0), run_result(1000, 2.2)))
    assert (pooled.num_runs, pooled.num_seeds) == (2, 1)


def test_cost_is_unknown_if_any_run_is_unpriced() -> None:
    priced, unpriced = measured(run_result(1000))[0], MeasuredRun(run_result(1001), None)
    assert pool([priced]).cost_usd == 0.5
    assert pool([priced, unpriced]).cost_usd is None


def test_speed_is_a_ratio_to_the_baseline_on_the_same_worker() -> None:
    # 512,000 tokens in 32 s are 16,000 a second: 1.25 and 0.75 times these baselines.
    quick = run_result(1000, train_seconds=32.0, baseline_speed=12_800.0)
    slow = run_result(1001, train_seconds=64.0, baseline_speed=8_000.0 / 0.75)
    pooled = pool(measured(quick, slow))
    assert pooled.relative_speed == pytest.approx(1.0)
    assert pooled.tokens_per_second == 12_000.0


def test_speed_is_no_ratio_if_any_run_has_no_anchor() -> None:
    assert pool(measured(run_result(baseline_speed=1.0), run_result())).relative_speed is None


def test_peak_memory_is_the_largest() -> None:
    small, large = run_result(1000), run_result(1001)
    large = large.model_copy(update={"peak_memory_bytes": small.peak_memory_bytes * 3})
    assert pool(measured(small, large)).peak_memory_bytes == small.peak_memory_bytes * 3


def test_more_seeds_do_not_shrink_the_standard_error_of_a_task() -> None:
    one = pool(measured(run_result(1000))).task("synthetic_world")
    two = pool(measured(run_result(1000), run_result(1001))).task("synthetic_world")
    assert one == two
    assert one is not None
    # sqrt(0.5 × 0.5 / 99)
    assert one.acc_norm_stderr == pytest.approx(0.0502518907)


def test_a_task_that_was_not_scored_is_none() -> None:
    assert pool(measured(run_result())).task("hellaswag") is None
