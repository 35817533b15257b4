"""What an author writes."""

from pydantic import Field, JsonValue

from core.schema.base import Config

MAX_SUBMISSION_BYTES = 64 * 1024
NAME = r"^[^\s\p{Cc}\p{Cf}]([^\p{Cc}\p{Cf}]*[^\s\p{Cc}\p{Cf}])?$"
TEXT = r"^([^\p{Cc}\p{Cf}]|[\t\n])*$"
"""Others see these in a terminal and on pages, where control and format characters could
rewrite or turn around what stands there."""


class Submission(Config):
    """A config diff against a track's baseline, or against another submission."""

    track: str = Field(min_length=1, max_length=40)
    """Name of the track."""
    name: str = Field(min_length=1, max_length=80, pattern=NAME)
    """Short name for the board: one line, no spaces at the ends, no control characters."""
    author: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Letters, digits, dot, dash and underscore."""
    hypothesis: str = Field(min_length=1, max_length=2000, pattern=TEXT)
    """What should happen, and why; no control characters but line breaks and tabs."""
    built_on: str = Field(default="", max_length=40)
    """Id of the submission that `overrides` starts from; empty for the track's baseline."""
    overrides: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings to change, nested or with dots; empty for the baseline itself."""
