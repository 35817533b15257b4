"""Which author name a GitHub account has: its login, unless somebody else has that name.

The account's number counts, not its login, since GitHub gives a login away again.
"""

import re

from sqlmodel import Session, col, func, select

from core.schema.submission import AUTHOR
from server.access.tables import AccessToken
from server.errors import NameTaken
from server.run_labels import PROJECT
from server.sign_in.tables import GithubAuthor
from server.tables import SubmissionRow

MAX_LENGTH = 40


def author_of(session: Session, github_id: int, login: str) -> str:
    """The author that an account is; at its first sign-in it takes its login as its name.

    Raises:
        NameTaken: a token, a submission, the project or another account has the name, or no
            author may be called so.
    """
    known = select(GithubAuthor).where(GithubAuthor.github_id == github_id)
    if account := session.exec(known).one_or_none():
        return account.name
    name_key = login.lower()
    row = session.get(GithubAuthor, name_key, with_for_update=True)
    if row is None:
        _require_free(session, login)
        values = {"name_key": name_key, "name": login, "github_id": github_id}
        row = GithubAuthor.model_validate(values)
        session.add(row)
    elif row.github_id is None:
        row.github_id = github_id
    else:
        raise NameTaken(_taken(login, "another GitHub account, which had this login before"))
    session.flush()
    return row.name


def give_name(session: Session, name: str) -> None:
    """Keep an author name for whoever signs in next with that GitHub login, whoever had it.

    Raises:
        NameTaken: the name is the project's, or no author may be called so.
    """
    _require_possible(name)
    row = session.get(GithubAuthor, name.lower(), with_for_update=True)
    if row is None:
        row = GithubAuthor.model_validate({"name_key": name.lower(), "name": name})
    row.name, row.github_id = name, None
    session.add(row)
    session.flush()


def _require_possible(name: str) -> None:
    if not re.fullmatch(AUTHOR, name) or len(name) > MAX_LENGTH:
        raise NameTaken(
            f"{name!r} cannot be an author: a name has 1 to {MAX_LENGTH} letters, digits, dots, "
            "dashes and underscores, and begins with a letter or digit."
        )
    if name.lower() == PROJECT.author:
        raise NameTaken(f"{name!r} is the project's own name, and nobody else's.")


def _require_free(session: Session, login: str) -> None:
    """Let nobody become an author whom a token or an earlier submission names."""
    _require_possible(login)
    token = select(AccessToken.id).where(func.lower(col(AccessToken.name)) == login.lower())
    if session.exec(token).first() is not None:
        raise NameTaken(_taken(login, "an access token"))
    earlier = select(SubmissionRow.id).where(func.lower(col(SubmissionRow.author)) == login.lower())
    if session.exec(earlier).first() is not None:
        raise NameTaken(_taken(login, "the author of earlier submissions"))


def _taken(login: str, holder: str) -> str:
    return (
        f"the author name {login!r} belongs to {holder}. If that is you, ask whoever runs the "
        f"server for `python -m server author {login}`, which gives the name to your account."
    )
