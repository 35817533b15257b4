"""What an author starts to write from."""

from dataclasses import dataclass

from core.schema.track import Track
from server.drafts.author_line import without_author
from server.tables import SubmissionRow

EXAMPLE = "model.attention.qk_norm"
"""What an outline changes, for its author to put something else in its place."""


@dataclass(frozen=True)
class Start:
    """A text to begin with."""

    yaml: str
    based_on: SubmissionRow | None = None
    """The submission whose text it is; None for the outline of one."""


def outline(track: Track) -> Start:
    """The keys of a submission to a track, with an example of a change."""
    lines = [f"track: {track.rules.name}", "name: ", "author: ", "hypothesis: "]
    if track.rules.is_open(EXAMPLE):
        lines += ["overrides:", f"  {EXAMPLE}: true"]
    return Start("\n".join(lines) + "\n")


def copied(row: SubmissionRow) -> Start:
    """The text of a submission, to be changed by anybody."""
    return Start(without_author(row.yaml), row)
