"""Verdicts on many made-up experiments at once: `server.verdict` written out in NumPy.

A test holds this form against the real one, which takes a second for some ten thousand verdicts.

Shapes: N experiments, R runs of each, B runs of its baseline, G other experiments of its board.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from server.verdict.escalation import MAX_RUNS, TRIAGE_RUNS
from server.verdict.looks import LOOKS, confidence_at
from server.verdict.noise import MAX_RATIO, MIN_DEVIATION

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DEVIATION = 0.005
"""Measured between equal runs of `gpu_24gb`, in nats."""
NOISY_SHARE = 0.1
"""Experiments that are noisier than the others, where there are such."""
NOISY_RATIO = 2.0
"""How many times their runs deviate as much."""
OTHER_RUNS = tuple(3 + index % 3 for index in range(20))
"""Runs of a grown board's other experiments: 59 degrees of freedom."""


@dataclass(frozen=True)
class World:
    """What the board is like on which an experiment is judged."""

    num_baseline_runs: int
    other_runs: tuple[int, ...] = ()
    """Runs of each other experiment that the noise is pooled from."""
    is_uneven: bool = False
    """Whether one experiment in ten is twice as noisy."""


@dataclass(frozen=True)
class Trials:
    """Experiments, each with a board of its own."""

    losses: Floats
    """Of the experiments' runs, NR."""
    baseline: Floats
    """Of the baselines' runs, NB."""
    others: Floats
    """Deviations of the other experiments, NG."""
    other_runs: tuple[int, ...]
    """Runs of each other experiment."""
    noisy: Flags
    """Which experiments are noisier, N."""


class Moment(NamedTuple):
    """How much there is of a board when a verdict is taken."""

    look: int
    """Runs of the experiment that count."""
    num_baseline_runs: int | None = None
    """Runs of the baseline; all if None."""
    num_others: int | None = None
    """Other experiments that the noise is pooled from; all if None."""


@dataclass(frozen=True)
class Intervals:
    """The interval of each experiment's difference."""

    delta: Floats
    half_width: Floats

    @property
    def better(self) -> Flags:
        """Whose interval lies below zero."""
        return self.delta + self.half_width < 0

    @property
    def worse(self) -> Flags:
        """Whose interval lies above zero."""
        return self.delta - self.half_width > 0


def draw(
    world: World, gain: float, num_trials: int, num_runs: int, rng: np.random.Generator
) -> Trials:
    """Draw normal losses around zero; `gain` is how far below the experiments lie, in nats."""
    noisy_share = NOISY_SHARE if world.is_uneven else 0.0
    noisy_N = rng.random(num_trials) < noisy_share
    scale_N = DEVIATION * np.where(noisy_N, NOISY_RATIO, 1.0)
    noisy_NG = rng.random((num_trials, len(world.other_runs))) < noisy_share
    degrees_G = np.array(world.other_runs, dtype=float) - 1
    spread_NG = np.sqrt(rng.chisquare(degrees_G, noisy_NG.shape) / degrees_G)
    return Trials(
        losses=rng.standard_normal((num_trials, num_runs)) * scale_N[:, None] - gain,
        baseline=rng.standard_normal((num_trials, world.num_baseline_runs)) * DEVIATION,
        others=DEVIATION * np.where(noisy_NG, NOISY_RATIO, 1.0) * spread_NG,
        other_runs=world.other_runs,
        noisy=noisy_N,
    )


def judge_trials(trials: Trials, moment: Moment) -> Intervals:
    """Judge every experiment at a moment, with its own runs among those that are pooled."""
    look = moment.look
    losses_NR = trials.losses[:, :look]
    baseline_NB = trials.baseline[:, : moment.num_baseline_runs]
    deviations_NG = trials.others[:, : moment.num_others]
    other_runs = trials.other_runs[: moment.num_others]
    floor_N, degrees_N = _pool(losses_NR, baseline_NB, deviations_NG, other_runs)
    variance_N = np.zeros(len(losses_NR))
    for side_NR in (losses_NR, baseline_NB):
        deviation_N = np.maximum(_deviation(side_NR), floor_N)
        variance_N = variance_N + deviation_N**2 / side_NR.shape[1]
    quantile_N = stdtrit(degrees_N, (1 + confidence_at(look)) / 2)
    delta_N = losses_NR.mean(axis=1) - baseline_NB.mean(axis=1)
    return Intervals(delta_N, quantile_N * np.sqrt(variance_N))


def _pool(
    losses_NR: Floats, baseline_NB: Floats, others_NG: Floats, other_runs: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Pooled deviation and its degrees of freedom."""
    groups = [side_NR for side_NR in (baseline_NB, losses_NR) if side_NR.shape[1] > 1]
    own = np.stack([_deviation(side_NR) for side_NR in groups], axis=1)
    deviations_NG = np.concatenate([own, others_NG], axis=1)
    sizes = [side_NR.shape[1] for side_NR in groups] + list(other_runs)
    degrees_G = np.array(sizes) - 1
    repeated = np.sort(np.repeat(deviations_NG, degrees_G, axis=1), axis=1)
    typical_N = repeated[:, (degrees_G.sum() - 1) // 2]
    limit_N = MAX_RATIO * np.maximum(typical_N, MIN_DEVIATION)
    degrees_NG = np.where(deviations_NG <= limit_N[:, None], degrees_G, 0)
    degrees_N = degrees_NG.sum(axis=1).astype(float)
    variance_N = (deviations_NG**2 * degrees_NG).sum(axis=1) / degrees_N
    return np.maximum(np.sqrt(variance_N), MIN_DEVIATION), degrees_N


def _deviation(losses_NR: Floats) -> Floats:
    if losses_NR.shape[1] == 1:
        return np.zeros(len(losses_NR))
    deviation_N: Floats = losses_NR.std(axis=1, ddof=1)
    return deviation_N


@dataclass(frozen=True)
class Verdicts:
    """What was said of each experiment, N."""

    better: Flags
    """Better, at any look."""
    worse: Flags
    """Worse, at any look."""
    better_last: Flags
    """Better, at the last look."""


def escalate(trials: Trials) -> Verdicts:
    """Let the policy decide on the runs."""
    asked_N = np.ones(len(trials.losses), dtype=bool)
    better_N, worse_N, last_N = np.zeros((3, len(asked_N)), dtype=bool)
    for look in (look for look in LOOKS if look <= MAX_RUNS):
        found = judge_trials(trials, Moment(look))
        better_N = better_N | (found.better & asked_N)
        worse_N = worse_N | (found.worse & asked_N)
        last_N = np.where(asked_N, found.better, last_N)
        asked_N = asked_N & (found.delta < 0) & (~found.better | (look == TRIAGE_RUNS))
    return Verdicts(better_N, worse_N, last_N)


def judge_at(trials: Trials, moments: Iterable[Moment]) -> Verdicts:
    """Judge all experiments at each of some moments, in their order."""
    better_N, worse_N, last_N = np.zeros((3, len(trials.losses)), dtype=bool)
    for moment in moments:
        found = judge_trials(trials, moment)
        better_N, worse_N, last_N = better_N | found.better, worse_N | found.worse, found.better
    return Verdicts(better_N, worse_N, last_N)
