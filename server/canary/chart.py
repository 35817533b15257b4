"""A worker's control chart: the limits between which its canaries should stay.

Shewhart, "Economic Control of Quality of Manufactured Product" (1931). Centre and deviation come
from the first canaries that were in control, and then stay: limits that followed the newest ones
would follow a slow drift. The deviation is at least the board's own: a shift that is small beside
the noise between seeds moves no verdict, even where a worker repeats its runs to the last bit.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from server.verdict.noise import Noise

MIN_CANARIES = 3
"""Canaries in control without which none is judged."""
MAX_CANARIES = 10
"""Canaries in control that centre and deviation come from, the first ones."""
WIDTH_DEVIATIONS = 3.0
"""Distance of the limits from the centre, in deviations."""


@dataclass(frozen=True)
class Limits:
    """Where canaries should lie; losses are in nats."""

    centre: float
    """Mean of the canaries that they come from."""
    deviation: float
    """Deviation of one canary."""

    @property
    def low(self) -> float:
        """Lower limit."""
        return self.centre - WIDTH_DEVIATIONS * self.deviation

    @property
    def high(self) -> float:
        """Upper limit."""
        return self.centre + WIDTH_DEVIATIONS * self.deviation

    def hold(self, loss: float) -> bool:
        """Whether a loss lies within; the limits themselves do."""
        return self.low <= loss <= self.high


def control_limits(losses: Sequence[float], noise: Noise | None) -> Limits | None:
    """The limits for a worker's next canary.

    Args:
        losses: validation losses of its canaries that were in control, the oldest first.
        noise: pooled noise of the board.

    Returns:
        The limits; None before the third canary, and on a board without noise, where no verdict
        is taken that drift could spoil.
    """
    if len(losses) < MIN_CANARIES or noise is None:
        return None
    reference = losses[:MAX_CANARIES]
    deviation = max(statistics.stdev(reference), noise.deviation)
    return Limits(statistics.fmean(reference), deviation)
