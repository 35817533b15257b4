"""Whole made-up boards: submissions come one after another and share one baseline.

Everything that decides is the server's own code: the noise is pooled anew for each verdict, the
record moves, and runs are added where `wanted_runs` asks for them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.verdict_trials import DEVIATION
from server.verdict.escalation import MAX_RUNS, wanted_runs
from server.verdict.judge import Verdict, judge, judge_pair
from server.verdict.noise import Noise, pooled_noise

Gains = Callable[[np.random.Generator, int], Sequence[float]]
"""True gains of so many submissions, in deviations of a run."""


def no_gains(rng: np.random.Generator, num_experiments: int) -> Sequence[float]:
    """Submissions that change nothing."""
    return [0.0] * num_experiments


def usual_gains(rng: np.random.Generator, num_experiments: int) -> Sequence[float]:
    """Submissions of which three in ten gain anything: normal about -2, with deviation 4."""
    return [float(gain) for gain in rng.normal(-2.0, 4.0, num_experiments)]


@dataclass(frozen=True)
class Entry:
    """What became of one submission."""

    gain: float
    """True gain, in deviations."""
    num_runs: int
    """Runs that it was given."""
    said: frozenset[Verdict]
    """Verdicts of all its looks."""
    verdict: Verdict
    """The last of them."""
    verdict_of_five: Verdict
    """The verdict if five runs were always made."""


class Board:
    """A board that fills up."""

    def __init__(self, num_baseline_runs: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._baseline = self._draw(0.0, num_baseline_runs)
        self._experiments: list[list[float]] = []
        self._record: list[float] | None = None

    def submit(self, gain: float) -> Entry:
        """Run one submission through to the end."""
        losses = self._draw(gain, MAX_RUNS)
        num_runs, said = 0, []
        wanted = wanted_runs(None)
        while wanted > num_runs:
            num_runs = wanted
            verdict, wanted = self._look(losses[:num_runs])
            said.append(verdict)
        five = judge(losses, self._baseline, self._noise(losses))
        self._keep(losses[:num_runs], verdict)
        assert five is not None
        return Entry(gain, num_runs, frozenset(said), verdict, five.verdict)

    def _look(self, losses: list[float]) -> tuple[Verdict, int]:
        """The verdict, and how many runs to have next."""
        noise = self._noise(losses)
        judgement = judge(losses, self._baseline, noise)
        assert judgement is not None
        against_record = self._record and judge_pair(losses, self._record, noise)
        return judgement.verdict, wanted_runs(judgement, against_record or None)

    def _keep(self, losses: list[float], verdict: Verdict) -> None:
        """The record is the lowest mean of those that are better than the baseline."""
        self._experiments.append(losses)
        if verdict is Verdict.BETTER and (
            self._record is None or fmean(losses) < fmean(self._record)
        ):
            self._record = losses

    def _noise(self, losses: list[float]) -> Noise | None:
        return pooled_noise([self._baseline, *self._experiments, losses])

    def _draw(self, gain: float, num_runs: int) -> list[float]:
        drawn = self._rng.normal(-gain * DEVIATION, DEVIATION, num_runs)
        return [float(loss) for loss in drawn]


def fill_boards(
    gains: Gains,
    num_boards: int,
    num_experiments: int,
    num_baseline_runs: int,
    rng: np.random.Generator,
) -> list[list[Entry]]:
    """Fill boards with submissions, `num_experiments` each."""
    boards = []
    for _ in range(num_boards):
        board = Board(num_baseline_runs, rng)
        boards.append([board.submit(gain) for gain in gains(rng, num_experiments)])
    return boards
