"""The page on which authors write a submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.estimate.cost import Range
from core.schema.submission import MAX_SUBMISSION_BYTES
from core.schema.track import Track, TrackRules
from server.drafts.check import DraftCheck, Prospect
from server.drafts.problems import DraftProblem
from server.pages.page import Page
from server.tables import SubmissionRow

FILE_NAME = "submission.yaml"
"""What a text is downloaded as."""
LEFT_OPEN = ("name", "author", "hypothesis")
"""What an outline leaves for its author to write."""


class Way(StrEnum):
    """How what is written here can be submitted."""

    FORM = "form"
    """With this page."""
    SIGN_IN = "sign_in"
    """With this page, by whoever signs in."""
    COMMAND = "command"
    """With `runner` and an access token alone."""


class Stage(StrEnum):
    """What was done with the text so far."""

    BEGUN = "begun"
    """Nothing: what is still to be written is no mistake yet."""
    CHECKED = "checked"
    """It was checked."""
    REFUSED = "refused"
    """It was sent, and not accepted."""


@dataclass(frozen=True, kw_only=True)
class GpuCost:
    """What a run would take on one GPU."""

    gpu: str
    is_measured: bool
    seconds: float
    seconds_range: Range
    tokens: float
    tokens_range: Range
    usd: float
    usd_range: Range


@dataclass(frozen=True, kw_only=True)
class SubmitPage(Page):
    """Context of `submit.html`."""

    yaml: str
    """What stands in the form."""
    author: str
    """What stands in the field for the author's name."""
    draft: str
    """Tells this form from others, so that sending it twice submits once."""
    way: Way
    stage: Stage
    based_on: SubmissionRow | None
    """The submission that it started from; None for an outline."""
    file_name: str
    """What the text is downloaded as."""
    server_url: str
    """What `runner` is told to send it to."""
    max_characters: int
    tracks: tuple[str, ...]
    """Names that a submission may give as its track."""
    track: str | None
    """The one that it gives, if there is one of that name."""
    rules: TrackRules | None
    """Of that track."""
    problems: tuple[DraftProblem, ...]
    """What is wrong with the text, but for what is only begun."""
    is_unfinished: bool
    """Whether that leaves something out."""
    is_valid: bool
    """Whether it would be accepted as it is."""
    prospect: Prospect | None
    """What the text would bring; None while that cannot be said."""
    costs: tuple[GpuCost, ...]
    """What it would take on each GPU of the price list."""


def submit_page(
    tracks: Mapping[str, Track],
    check: DraftCheck,
    *,
    yaml: str,
    author: str,
    draft: str,
    way: Way,
    server_url: str,
    stage: Stage,
    based_on: SubmissionRow | None = None,
) -> SubmitPage:
    """The form, with what is known of what it holds."""
    problems = check.problems
    if stage is Stage.BEGUN:
        problems = tuple(problem for problem in problems if not _is_left_open(problem))
    return SubmitPage(
        title="Submit",
        section="submit",
        yaml=yaml,
        author=author,
        draft=draft,
        way=way,
        stage=stage,
        based_on=based_on,
        file_name=FILE_NAME,
        server_url=server_url,
        max_characters=MAX_SUBMISSION_BYTES,
        tracks=tuple(sorted(tracks)),
        track=check.track,
        rules=tracks[check.track].rules if check.track else None,
        problems=problems,
        is_unfinished=len(problems) < len(check.problems),
        is_valid=check.is_valid,
        prospect=check.prospect,
        costs=gpu_costs(check.prospect) if check.prospect else (),
    )


def gpu_costs(prospect: Prospect) -> tuple[GpuCost, ...]:
    """Time, tokens and dollars on each GPU, the cheapest first."""
    own = prospect.estimate
    return tuple(
        GpuCost(
            gpu=gpu,
            is_measured=gpu in own.measured_gpus,
            seconds=own.train_seconds[gpu],
            seconds_range=own.train_seconds_range[gpu],
            tokens=own.train_tokens[gpu],
            tokens_range=own.train_tokens_range[gpu],
            usd=usd,
            usd_range=own.cost_usd_range[gpu],
        )
        for gpu, usd in _by_cost(own.cost_usd)
    )


def _by_cost(cost_usd: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    return sorted(cost_usd.items(), key=lambda item: item[1])


def _is_left_open(problem: DraftProblem) -> bool:
    return problem.path in LEFT_OPEN and problem.value is None
