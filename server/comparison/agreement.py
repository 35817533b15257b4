"""Which questions of a task two submissions both got right, and which only one of them."""

from collections.abc import Iterable, Sequence

from core.schema.base import Message
from core.schema.result import TaskScore
from core.schema.right_bits import right_mask
from server.standing import RunStanding

NOT_KEPT = (
    "No seed of both has kept which questions it got right; results from before this was kept "
    "have their scores alone."
)


class TaskAgreement(Message):
    """The questions of a task, by who got them right by `acc_norm`."""

    task: str
    """Task."""
    seeds: tuple[int, ...]
    """Seeds counted, of both; with several, most of them have to be right."""
    num_questions: int
    """Questions of the task: the sum of the four."""
    both: int
    """Right in both."""
    only_a: int
    """Right in the first alone."""
    only_b: int
    """Right in the second alone."""
    neither: int
    """Right in neither."""
    p_value: float
    """McNemar's exact test, two-sided: how likely a division of the questions that only one got
    right as uneven as this one, or more so, would be if either were as likely to be the one."""
    notice: str
    """Why nothing was counted; empty if it was."""


def task_agreements(
    a: Sequence[RunStanding], b: Sequence[RunStanding]
) -> tuple[TaskAgreement, ...]:
    """The agreement on each task that both have.

    Args:
        a: Runs with a result under the common key, in order of seeds.
        b: The same of the other submission.
    """
    scores_a, scores_b = _scores_by_task(a), _scores_by_task(b)
    return tuple(
        _agreement(task, scores_a[task], scores_b[task]) for task in scores_a if task in scores_b
    )


def _scores_by_task(runs: Iterable[RunStanding]) -> dict[str, dict[int, TaskScore]]:
    """The score of each task and seed; of a seed that ran again, the first."""
    found: dict[str, dict[int, TaskScore]] = {}
    for run in runs:
        for score in run.result.tasks if run.result else ():
            found.setdefault(score.name, {}).setdefault(run.seed, score)
    return found


def _agreement(task: str, a: dict[int, TaskScore], b: dict[int, TaskScore]) -> TaskAgreement:
    num_questions = next(iter(a.values())).num_questions
    kept_a, kept_b = (
        {seed for seed, one in side.items() if one.right and one.num_questions == num_questions}
        for side in (a, b)
    )
    seeds = sorted(kept_a & kept_b)
    # Of an even number of seeds half may be right, which is no majority either way.
    seeds = seeds[: len(seeds) - (len(seeds) + 1) % 2] if seeds else []
    right_a, right_b = (
        majority([right_mask(side[seed].right, num_questions) for seed in seeds], num_questions)
        for side in (a, b)
    )
    both, either = (right_a & right_b).bit_count(), (right_a | right_b).bit_count()
    only_a, only_b = right_a.bit_count() - both, right_b.bit_count() - both
    return TaskAgreement(
        task=task,
        seeds=tuple(seeds),
        num_questions=num_questions,
        both=both,
        only_a=only_a,
        only_b=only_b,
        neither=num_questions - either if seeds else 0,
        p_value=mcnemar(only_a, only_b),
        notice="" if seeds else NOT_KEPT,
    )


def majority(masks: Sequence[int], num_bits: int) -> int:
    """The bits that are set in more than half of the masks; 0 without a mask.

    Columns are counted all at once: the n-th plane holds the n-th binary digit of each count.
    """
    planes = [0] * len(masks).bit_length()
    for mask in masks:
        carried = mask
        for place, plane in enumerate(planes):
            planes[place], carried = plane ^ carried, plane & carried
    needed = len(masks) // 2 + 1
    above, equal = 0, (1 << num_bits) - 1
    for place in reversed(range(len(planes))):
        if needed >> place & 1:
            equal &= planes[place]
        else:
            above |= equal & planes[place]
            equal &= ~planes[place]
    return (above | equal) if masks else 0


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact p-value of McNemar's test (1947): a two-sided binomial test of a fair coin."""
    from scipy.special import bdtr

    fewer, discordant = min(only_a, only_b), only_a + only_b
    return min(1.0, 2 * float(bdtr(fewer, discordant, 0.5)))
