"""What an author writes, and asks for later."""

from pydantic import Field, JsonValue

from core.schema.base import Config, Message

MAX_SUBMISSION_BYTES = 64 * 1024
NAME = r"^[^\s\p{Cc}\p{Cf}]([^\p{Cc}\p{Cf}]*[^\s\p{Cc}\p{Cf}])?$"
AUTHOR = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
TEXT = r"^([^\p{Cc}\p{Cf}]|[\t\n])*$"
"""Others see these in a terminal and on pages, where control and format characters could
rewrite or turn around what stands there."""


class Submission(Config):
    """A config diff against a track's baseline, or against another submission."""

    track: str = Field(min_length=1, max_length=40)
    """Name of the track."""
    name: str = Field(min_length=1, max_length=80, pattern=NAME)
    """Short name for the board: one line, no spaces at the ends, no control characters."""
    author: str = Field(min_length=1, max_length=40, pattern=AUTHOR)
    """Letters, digits, dot, dash and underscore."""
    hypothesis: str = Field(min_length=1, max_length=2000, pattern=TEXT)
    """What should happen, and why; no control characters but line breaks and tabs."""
    built_on: str = Field(default="", max_length=40)
    """Id of the submission that `overrides` starts from; empty for the track's baseline."""
    overrides: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings to change, nested or with dots; empty for the baseline itself."""


class WithdrawalRequest(Message):
    """An author takes a submission back."""

    author: str = Field(min_length=1, max_length=40, pattern=AUTHOR)
    """Its author: letters, digits, dot, dash and underscore."""
    reason: str = Field(min_length=1, max_length=500, pattern=TEXT)
    """Why, for everybody to read; no control characters but line breaks and tabs."""


class RerunRequest(Message):
    """Somebody wants another look at a submission."""

    author: str = Field(min_length=1, max_length=40, pattern=AUTHOR)
    """Who asks: letters, digits, dot, dash and underscore."""


class RerunReceipt(Message):
    """What was queued for another look."""

    run_ids: tuple[str, ...]
    """Runs, each with a seed of its own."""
    num_runs_then: int
    """Runs that the experiment will have, at which a verdict is taken."""
