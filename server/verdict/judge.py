"""Whether an experiment is better than the baseline, or than another experiment."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from core.schema.base import Message
from server.verdict.difference import Difference, Side, difference
from server.verdict.looks import LOOKS, confidence_at, latest_look, next_look
from server.verdict.noise import Noise

MIN_BASELINE_RUNS = 5
"""Runs of the baseline without which nothing is judged against it."""


class Verdict(StrEnum):
    """What the runs say of an experiment, against what it is compared with."""

    BETTER = "better"
    WORSE = "worse"
    UNRESOLVED = "unresolved"


class Judgement(Message):
    """A verdict, and what it rests on. Losses are in nats, and a lower one is better."""

    verdict: Verdict
    """Better or worse if the interval leaves out zero."""
    delta: float
    """Mean loss of the runs counted, less that of the baseline; negative looks better."""
    low: float
    """Lower end of the interval of the difference."""
    high: float
    """Upper end of the interval of the difference."""
    confidence: float
    """Confidence of the interval. The intervals of all looks hold together with 99 %."""
    num_runs: int
    """Runs counted: those of the latest look, in the order of the track's seeds."""
    num_baseline_runs: int
    """Runs counted of the baseline, or of the other experiment: those of its latest look."""
    further_runs: int | None
    """Runs to add until the verdict would be settled, were delta and deviation to stay as they
    are; 0 if it is, None if the last look would not settle it."""
    next_look: int | None
    """Number of runs at which the next verdict is taken; None after the last."""


def judge(
    losses: Sequence[float], baseline_losses: Sequence[float], noise: Noise | None
) -> Judgement | None:
    """Judge an experiment against the baseline.

    The baseline's runs count up to a look as well: anyone may add to them by submitting it again.

    Args:
        losses: Validation losses of the experiment, in the order of the track's seeds.
        baseline_losses: Validation losses of the baseline, in the same order.
        noise: Pooled noise of the board.

    Returns:
        The judgement; None without a run, with fewer than five of the baseline, or without noise.

    Raises:
        ValueError: a loss is not finite.
    """
    if len(baseline_losses) < MIN_BASELINE_RUNS:
        return None
    return judge_pair(losses, baseline_losses, noise)


def judge_pair(
    losses: Sequence[float], other_losses: Sequence[float], noise: Noise | None
) -> Judgement | None:
    """Judge an experiment against another one, such as the record.

    Returns:
        The judgement; None where one of them has no run, or without noise.

    Raises:
        ValueError: a loss is not finite.
    """
    look, other_look = latest_look(len(losses)), latest_look(len(other_losses))
    if look is None or other_look is None or noise is None:
        return None
    side = Side.of("losses", losses[:look], noise)
    other = Side.of("the other side's losses", other_losses[:other_look], noise)
    found = difference(side, other, noise, confidence_at(look))
    verdict = _verdict(found)
    if verdict is Verdict.UNRESOLVED:
        further_runs = _further_runs(len(losses), side, other, noise)
    else:
        further_runs = 0
    return Judgement(
        verdict=verdict,
        delta=found.delta,
        low=found.low,
        high=found.high,
        confidence=found.confidence,
        num_runs=look,
        num_baseline_runs=other.num_runs,
        further_runs=further_runs,
        next_look=next_look(len(losses)),
    )


def _verdict(found: Difference) -> Verdict:
    if found.high < 0:
        return Verdict.BETTER
    return Verdict.WORSE if found.low > 0 else Verdict.UNRESOLVED


def _further_runs(num_runs: int, side: Side, other: Side, noise: Noise) -> int | None:
    for look in LOOKS:
        if look > num_runs:
            later = difference(replace(side, num_runs=look), other, noise, confidence_at(look))
            if _verdict(later) is not Verdict.UNRESOLVED:
                return look - num_runs
    return None
