"""How many runs an experiment deserves by what its runs say so far.

One run sorts out what is plainly no gain; what looks like one gets three, and five where three
leave it open. Every run stays: more are added, none is thrown away.
"""

from server.verdict.judge import Judgement, Verdict
from server.verdict.looks import next_look

TRIAGE_RUNS = 1
"""Runs of a new experiment."""
MAX_RUNS = 5
"""Runs up to which they are added by themselves; anyone may ask for more."""


def wanted_runs(judgement: Judgement | None, record_judgement: Judgement | None = None) -> int:
    """How many runs an experiment should have.

    Args:
        judgement: Against the baseline; None while there is none.
        record_judgement: Against the best experiment of the board; None if that is this one, or
            if there is none.

    Returns:
        Wanted runs, those that were counted at least.
    """
    if judgement is None:
        return TRIAGE_RUNS
    if _is_wanted(judgement) or (record_judgement is not None and _is_open(record_judgement)):
        return _next_step(judgement.num_runs)
    return judgement.num_runs


def _is_wanted(judgement: Judgement) -> bool:
    """A single run that looks better is confirmed even where it is better beyond doubt."""
    is_triage = judgement.num_runs == TRIAGE_RUNS
    return judgement.delta < 0 if is_triage else _is_open(judgement)


def _is_open(judgement: Judgement) -> bool:
    """Whether it looks better and nobody knows: what looks worse is left as it is."""
    return judgement.delta < 0 and judgement.verdict is Verdict.UNRESOLVED


def _next_step(num_runs: int) -> int:
    step = next_look(num_runs)
    return step if step is not None and step <= MAX_RUNS else num_runs
