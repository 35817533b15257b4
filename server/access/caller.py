"""Who sends a request, and what they may do."""

from dataclasses import dataclass

from core.errors import InvalidInput
from core.schema.access import Scope
from core.schema.problem import Problem

GRANTED: dict[Scope, frozenset[Scope]] = {
    Scope.SUBMIT: frozenset({Scope.SUBMIT}),
    Scope.WORK: frozenset({Scope.WORK}),
    Scope.ADMIN: frozenset({Scope.ADMIN, Scope.SUBMIT}),
}
"""What a token of each scope is good for."""


@dataclass(frozen=True)
class Caller:
    """Whoever holds a token, or is signed in."""

    token_id: str
    """Id of the token, or `github:` and the name of who is signed in; empty for anybody on an open
    server."""
    name: str
    """Whose it is."""
    scope: Scope | None
    """What it is good for; None for anybody on an open server."""

    @property
    def is_anybody(self) -> bool:
        """Whether the server is open, and asks nobody who they are."""
        return self.scope is None

    def may(self, scope: Scope) -> bool:
        """Whether the token is good for what needs a scope."""
        return self.scope is not None and scope in GRANTED[self.scope]

    def speaks_for(self, author: str) -> bool:
        """Whether the caller may act as an author."""
        return self.is_anybody or self.scope is Scope.ADMIN or self.name == author


ANYBODY = Caller(token_id="", name="", scope=None)
"""The caller of every request on an open server."""


def require_author(caller: Caller, author: str, line: int | None = None) -> None:
    """Let nobody act under another's name.

    Args:
        line: where the author stands in a submission.

    Raises:
        InvalidInput: the token belongs to somebody else.
    """
    if not caller.speaks_for(author):
        message = f"{author!r} is not allowed: the request comes from {caller.name!r}; "
        message += f"write {caller.name}, or send a token of that author or an administrator."
        raise InvalidInput([Problem(path="author", message=message, line=line)])
