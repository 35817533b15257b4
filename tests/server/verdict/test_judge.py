import math

import pytest

from server.verdict.judge import Verdict, judge, judge_pair
from server.verdict.noise import Noise

NOISE = Noise(deviation=0.005, degrees=100)
BASELINE = [4.600, 4.602, 4.598, 4.601, 4.599]

# One run against five, deviation 0.005. Tables give 3.1737 for t of 99.8 % and 100 degrees:
# 3.1737 × 0.005 × sqrt(1 + 1/5) = 0.017383.
HALF_WIDTH = 0.017383


@pytest.mark.parametrize(
    ("delta", "verdict"),
    [
        (-0.0175, Verdict.BETTER),
        (-0.0172, Verdict.UNRESOLVED),
        (0.0, Verdict.UNRESOLVED),
        (0.0172, Verdict.UNRESOLVED),
        (0.0175, Verdict.WORSE),
    ],
)
def test_an_interval_without_zero_settles_it(delta, verdict):
    judgement = judge([4.6 + delta], BASELINE, NOISE)
    assert judgement.verdict is verdict
    assert judgement.delta == pytest.approx(delta)
    assert judgement.low == pytest.approx(delta - HALF_WIDTH, abs=1e-6)
    assert judgement.high == pytest.approx(delta + HALF_WIDTH, abs=1e-6)
    assert judgement.confidence == pytest.approx(0.998)


def test_three_runs_that_spread_by_chance_do_not_open_a_plain_gain_again():
    # Deviation 0.008 and not 0.005. 3.0422, of 99.7 % and 100 degrees, times
    # sqrt(0.008² / 3 + 0.005² / 5) = 0.0051316 is 0.015611. Welch's 3.04 degrees would give 0.045.
    judgement = judge([4.570, 4.562, 4.578], BASELINE, NOISE)
    assert judgement.verdict is Verdict.BETTER
    assert judgement.high == pytest.approx(-0.03 + 0.015611, abs=1e-6)


def test_runs_past_a_look_do_not_count_until_the_next():
    three = judge([4.595, 4.596, 4.594], BASELINE, NOISE)
    four = judge([4.595, 4.596, 4.594, 9.0], BASELINE, NOISE)
    assert (four.num_runs, four.next_look) == (3, 5)
    assert (four.delta, four.low) == (three.delta, three.low)


def test_runs_of_the_baseline_past_a_look_do_not_count_until_the_next():
    assert judge([4.6], [*BASELINE, 9.0, 9.0, 9.0, 9.0], NOISE) == judge([4.6], BASELINE, NOISE)
    assert judge([4.6], BASELINE * 2, NOISE).num_baseline_runs == 10


# 0.01 below. Half widths with t of 99.7 %, 3.04: after three runs 3.04 × 0.005 × sqrt(1/3 + 1/5)
# = 0.0111, after five 3.04 × 0.005 × sqrt(2/5) = 0.0096.
@pytest.mark.parametrize(("num_runs", "further"), [(1, 4), (2, 3), (3, 2), (4, 1)])
def test_further_runs_reach_the_look_that_would_settle_it(num_runs, further):
    judgement = judge([4.59] * num_runs, BASELINE, NOISE)
    assert judgement.verdict is Verdict.UNRESOLVED
    assert judgement.further_runs == further


def test_further_runs_are_none_where_the_baseline_alone_leaves_too_much_open():
    # However many runs, t × 0.005 × sqrt(1/5) stays above 0.0067.
    assert judge([4.594], BASELINE, NOISE).further_runs is None
    assert judge([4.6], BASELINE, NOISE).further_runs is None


def test_a_settled_verdict_needs_no_further_runs():
    assert judge([4.5], BASELINE, NOISE).further_runs == 0


def test_the_last_look_counts_eighty_runs_and_leaves_nothing_to_ask_for():
    judgement = judge([4.6] * 100, BASELINE, NOISE)
    assert (judgement.num_runs, judgement.next_look, judgement.further_runs) == (80, None, None)


@pytest.mark.parametrize(
    ("losses", "baseline", "noise"),
    [([], BASELINE, NOISE), ([4.6], BASELINE[:4], NOISE), ([4.6], BASELINE, None)],
)
def test_nothing_is_judged_without_runs_a_baseline_of_five_or_noise(losses, baseline, noise):
    assert judge(losses, baseline, noise) is None


def test_a_pair_is_judged_by_one_run_each_and_up_to_the_looks_of_both():
    assert judge_pair([4.5], [4.6], NOISE).verdict is Verdict.BETTER
    pair = judge_pair([4.5] * 4, [4.6, 4.6, 4.6, 4.4], NOISE)
    assert (pair.num_runs, pair.num_baseline_runs) == (3, 3)
    assert pair.delta == pytest.approx(-0.1)
    assert judge_pair([4.5], [], NOISE) is None


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="losses holds inf"):
        judge([math.inf], BASELINE, NOISE)
    with pytest.raises(ValueError, match="the other side's losses holds nan"):
        judge([4.6], [*BASELINE[:4], math.nan], NOISE)
