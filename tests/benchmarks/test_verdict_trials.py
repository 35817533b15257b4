import math
import statistics

import numpy as np
import pytest

from benchmarks.verdict_trials import (
    DEVIATION,
    OTHER_RUNS,
    Moment,
    World,
    draw,
    escalate,
    judge_at,
    judge_trials,
)
from server.verdict.escalation import wanted_runs
from server.verdict.judge import Verdict, judge
from server.verdict.looks import LOOKS
from server.verdict.noise import pooled_noise

NUM_TRIALS = 2000
# What a rate of 1 % exceeds in one of a thousand simulations: three standard errors and more.
MOST_FALSE = NUM_TRIALS * (0.01 + 3.1 * math.sqrt(0.01 * 0.99 / NUM_TRIALS))


def trials_of(world, gain=0.0, num_trials=NUM_TRIALS, num_runs=5, seed=0):
    return draw(world, gain * DEVIATION, num_trials, num_runs, np.random.default_rng(seed))


def other_group(deviation, num_runs):
    """Losses that have exactly this deviation: evenly spaced, scaled."""
    spaced = list(range(num_runs))
    return [deviation * place / statistics.stdev(spaced) for place in spaced]


def real_judgement(trials, index, look):
    """The server's own judgement of one experiment."""
    losses = trials.losses[index, :look].tolist()
    baseline = trials.baseline[index].tolist()
    others = zip(trials.others[index].tolist(), trials.other_runs, strict=True)
    groups = [baseline, losses, *(other_group(*other) for other in others)]
    return judge(losses, baseline, pooled_noise(groups))


WORLDS = [
    World(5),
    World(10, OTHER_RUNS),
    World(5, OTHER_RUNS[:2], is_uneven=True),
    World(10, OTHER_RUNS, is_uneven=True),
]


@pytest.mark.parametrize("world", WORLDS)
def test_the_numpy_form_equals_the_server_s_judge(world):
    trials = trials_of(world, gain=1.0, num_trials=40, num_runs=80)
    trials.losses[::4] *= 30.0  # Noisy enough to be left out of the pool.
    for look in LOOKS:
        found = judge_trials(trials, Moment(look))
        for index in range(40):
            judgement = real_judgement(trials, index, look)
            assert found.delta[index] == pytest.approx(judgement.delta, abs=1e-12)
            half_width = (judgement.high - judgement.low) / 2
            assert found.half_width[index] == pytest.approx(half_width, rel=1e-9)


@pytest.mark.parametrize("gain", [0.0, 3.0, 12.0])
def test_the_numpy_form_escalates_as_the_server_does(gain):
    trials = trials_of(World(5, OTHER_RUNS), gain, num_trials=60)
    found = escalate(trials)
    for index in range(60):
        num_runs, said = 0, []
        wanted = wanted_runs(None)
        while wanted > num_runs:
            num_runs = wanted
            judgement = real_judgement(trials, index, num_runs)
            said.append(judgement.verdict)
            wanted = wanted_runs(judgement)
        assert found.better[index] == (Verdict.BETTER in said)
        assert found.worse[index] == (Verdict.WORSE in said)
        assert found.better_last[index] == (said[-1] is Verdict.BETTER)


@pytest.mark.parametrize("world", WORLDS)
def test_at_most_one_of_a_hundred_equal_experiments_is_called_better_or_worse(world):
    verdicts = escalate(trials_of(world))
    assert verdicts.better.sum() <= MOST_FALSE
    assert verdicts.worse.sum() <= MOST_FALSE


@pytest.mark.parametrize("world", WORLDS)
def test_runs_up_to_the_last_look_do_not_help_chance(world):
    verdicts = judge_at(trials_of(world, num_runs=80), map(Moment, LOOKS))
    assert verdicts.better.sum() <= MOST_FALSE
    assert verdicts.worse.sum() <= MOST_FALSE


def test_a_gain_of_eight_deviations_is_found_with_five_runs():
    assert escalate(trials_of(World(5), 8.0)).better_last.mean() > 0.99


def test_the_fraction_of_noisy_experiments_and_their_deviation_are_as_named():
    trials = trials_of(World(5, is_uneven=True), num_runs=80)
    assert trials.noisy.mean() == pytest.approx(0.1, abs=0.03)
    deviations = trials.losses.std(axis=1, ddof=1)
    assert deviations[trials.noisy].mean() == pytest.approx(0.010, rel=0.03)
    assert deviations[~trials.noisy].mean() == pytest.approx(0.005, rel=0.03)
