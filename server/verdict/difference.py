"""The interval of a difference of means, with a floor on the deviations.

Few runs often agree by chance. So the deviation of a side is the larger of its own and the board's
pooled one, and one run, which has none of its own, takes the pool's. The variances of both means
add up as in Welch's test ("The generalization of Student's problem when several different
population variances are involved", Biometrika 34, 1947).

The degrees of freedom are the pool's, and not Welch and Satterthwaite's: those fall to two to
five where three runs deviate more than the pool, as they do by chance in every third case, and the
interval is then so wide that plain gains are open again. docs/verdicts.md compares both rules.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from server.verdict.noise import Noise, check_finite


@dataclass(frozen=True)
class Side:
    """The mean of some runs, and how well it is known."""

    mean: float
    """Mean loss."""
    num_runs: int
    """Runs."""
    deviation: float
    """Deviation of one run: its own or the pool's, whichever is larger."""

    @classmethod
    def of(cls, name: str, losses: Sequence[float], noise: Noise) -> "Side":
        """Sum up one side's losses; `name` is for the error.

        Raises:
            ValueError: there is no loss, or one is not finite.
        """
        if not losses:
            raise ValueError(f"{name} is empty; a difference needs at least one run of each side")
        check_finite(name, losses)
        own = statistics.stdev(losses) if len(losses) > 1 else 0.0
        return cls(statistics.fmean(losses), len(losses), max(own, noise.deviation))

    @property
    def variance(self) -> float:
        """Variance of the mean."""
        return self.deviation**2 / self.num_runs


@dataclass(frozen=True)
class Difference:
    """The mean of one side less that of another, with its interval."""

    delta: float
    """Difference of the means."""
    half_width: float
    """Half of the interval's width."""
    confidence: float
    """Probability with which such intervals hold the true difference."""

    @property
    def low(self) -> float:
        """Lower end."""
        return self.delta - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.delta + self.half_width


def difference(a: Side, b: Side, noise: Noise, confidence: float) -> Difference:
    """Estimate the mean of `a` less that of `b`.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1")
    half_width = _quantile(confidence, noise.degrees) * math.sqrt(a.variance + b.variance)
    return Difference(a.mean - b.mean, half_width, confidence)


def _quantile(confidence: float, degrees: int) -> float:
    """The two-sided quantile of Student's t."""
    # Loads numpy, which a server that starts need not wait for.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))
