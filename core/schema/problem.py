"""One thing that is wrong with an input."""

from pydantic import Field

from core.schema.base import Message


class Problem(Message):
    """What is wrong, where, and what would be right."""

    path: str
    """Dotted path of the field; empty for the document as a whole."""
    message: str
    """What is wrong and what is allowed."""
    line: int | None = Field(default=None, ge=1)
    """Line of the document, counted from 1, where it has one."""
    nearest: str | None = None
    """The valid name closest to the one given."""

    def text(self) -> str:
        """The problem as one line for a person."""
        where = f"line {self.line}: " if self.line else ""
        field = f"{self.path}: " if self.path else ""
        hint = f" Did you mean `{self.nearest}`?" if self.nearest else ""
        return f"{where}{field}{self.message}{hint}"
