"""Which submissions a comparison is of, all of it in the address."""

from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from core.errors import InvalidInput
from core.schema.base import Message
from core.schema.compared_settings import MAX_COMPARED
from core.schema.problem import Problem

LETTERS = "ABCDEF"
"""What the sides are called, in order."""

SubmissionId = Annotated[str, Field(max_length=64)]


class CompareQuery(Message):
    """Two to six submissions; all are compared with the first."""

    id: tuple[SubmissionId, ...] = Field(default=(), max_length=100)
    """Ids, in order."""
    a: SubmissionId = ""
    """The first, where it is named for itself."""
    b: SubmissionId = ""
    """The second, where it is named for itself."""

    def asked(self) -> tuple[str, ...]:
        """The ids that were named, in order.

        Raises:
            InvalidInput: there are more than six.
        """
        ids = tuple(name for one in (self.a, self.b, *self.id) if (name := one.strip()))
        if len(ids) > MAX_COMPARED:
            _refuse(f"names {len(ids)} submissions; at most {MAX_COMPARED} are compared.")
        return ids

    def compared(self) -> tuple[str, ...]:
        """The ids of a comparison.

        Raises:
            InvalidInput: there are fewer than two or more than six.
        """
        ids = self.asked()
        if len(ids) < 2:
            _refuse(f"names {len(ids)} of the 2 to {MAX_COMPARED} submissions to compare.")
        return ids


def compare_address(ids: tuple[str, ...], path: str = "/compare") -> str:
    """The address of a comparison."""
    return f"{path}?{urlencode([('id', one) for one in ids])}"


def _refuse(message: str) -> None:
    raise InvalidInput([Problem(path="id", message=message)])
