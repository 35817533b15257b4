"""The page on which those who are signed in write a submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.schema.problem import Problem
from core.schema.submission import MAX_SUBMISSION_BYTES
from core.schema.track import Track
from server.pages.page import Page


@dataclass(frozen=True, kw_only=True)
class SubmitPage(Page):
    """Context of `submit.html`."""

    yaml: str
    """What stands in the form."""
    draft: str
    """Tells this form from others, so that sending it twice submits once."""
    problems: tuple[str, ...]
    """Why what was sent was refused; empty before anything was."""
    max_characters: int
    tracks: tuple[str, ...]
    """Names that a submission may give as its track."""


def submit_page(
    tracks: Mapping[str, Track], yaml: str, draft: str, problems: Sequence[Problem] = ()
) -> SubmitPage:
    """The form, with what was wrong with what it holds."""
    return SubmitPage(
        title="Submit",
        section="submit",
        yaml=yaml,
        draft=draft,
        problems=tuple(problem.text() for problem in problems),
        max_characters=MAX_SUBMISSION_BYTES,
        tracks=tuple(sorted(tracks)),
    )


def outline(tracks: Mapping[str, Track], author: str) -> str:
    """What an author starts from."""
    lines = (
        f"track: {min(tracks)}",
        "name: ",
        f"author: {author}",
        "hypothesis: ",
        "overrides:",
        "  model.attention.qk_norm: true",
    )
    return "\n".join(lines) + "\n"
