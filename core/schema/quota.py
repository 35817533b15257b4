"""What an author may use of the workers, and has used."""

from pydantic import AwareDatetime

from core.schema.base import Message


class QuotaStatus(Message):
    """GPU-minutes of an author, of the last seven days."""

    author: str
    """The author."""
    allowed_minutes: float | None
    """What each author may use in seven days; None for any amount."""
    used_minutes: float
    """Charged for attempts that have ended, less what was refunded."""
    reserved_minutes: float
    """Estimated for the author's runs that wait or run."""
    left_minutes: float | None
    """What is neither used nor reserved, at least 0; None where any amount is allowed."""
    frees_at: AwareDatetime | None
    """When the oldest of the charges no longer counts; None without one."""
