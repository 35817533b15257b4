"""At which numbers of runs a verdict is taken, and what each of them may err.

Whoever looks after every run, and stops once the interval leaves out zero, finds a difference
where there is none. So an experiment is looked at after fixed numbers of runs alone, and the 1 %
that verdicts may err is divided among the looks. By Bonferroni's inequality the intervals of all
looks hold together with 99 %.
"""

from bisect import bisect_right

ERROR_SHARES = {1: 0.002, 3: 0.003, 5: 0.003, 10: 0.001, 20: 0.0005, 40: 0.00025, 80: 0.00025}
"""Two-sided error of the interval at each look; together 1 %."""
LOOKS = tuple(ERROR_SHARES)
"""Numbers of runs of an experiment at which a verdict is taken."""


def latest_look(num_runs: int) -> int | None:
    """The look that an experiment with so many runs has reached; None before the first."""
    reached = bisect_right(LOOKS, num_runs)
    return LOOKS[reached - 1] if reached else None


def next_look(num_runs: int) -> int | None:
    """The look that an experiment with so many runs comes to next; None after the last."""
    reached = bisect_right(LOOKS, num_runs)
    return LOOKS[reached] if reached < len(LOOKS) else None


def confidence_at(look: int) -> float:
    """Confidence of the interval at a look.

    Raises:
        ValueError: no verdict is taken at that number of runs.
    """
    if look not in ERROR_SHARES:
        allowed = ", ".join(map(str, LOOKS))
        raise ValueError(f"look is {look}; a verdict is taken at {allowed} runs")
    return 1 - ERROR_SHARES[look]
