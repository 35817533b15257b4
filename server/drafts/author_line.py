"""The author of a draft, where its text names none and the author is known otherwise."""

import json
import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from core.errors import InvalidInput
from core.schema.problem import Problem
from core.schema.submission import AUTHOR, MAX_SUBMISSION_BYTES
from core.yaml_document import read_yaml

BLANK = re.compile(r"^author:[ \t]*$", re.MULTILINE)
NAMED = re.compile(r"^author:.*(\n[ \t]+.*)*", re.MULTILINE)


def with_author(text: str, author: str) -> str:
    """A submission's text with its author, no line of it moved.

    It stays as it is where nobody is given, where it names the same author, and where it is not
    YAML to which a line can be added; then it is refused as any text without an author.

    Args:
        author: who it is by; empty if only the text may say.

    Raises:
        InvalidInput: the text names another author.
    """
    try:
        document = read_yaml(text, MAX_SUBMISSION_BYTES)
    except InvalidInput:
        return text
    named = document.value.get("author")
    if not author or named == author:
        return text
    if named is not None:
        message = f"{json.dumps(named)} is not allowed beside the author {json.dumps(author)} "
        message += "that was given apart from the text; leave one of them out."
        raise InvalidInput(
            [Problem(path="author", message=message, line=document.lines.get(("author",)))]
        )
    wanted = {**document.value, "author": author}
    return next((one for one in _completed(text, author) if _value(one) == wanted), text)


def without_author(text: str) -> str:
    """A submission's text with nobody in the line that names its author."""
    return NAMED.sub("author: ", text, count=1)


def _completed(text: str, author: str) -> Iterator[str]:
    """Texts that may have the author: in the line that is blank, or at the end."""
    # What looks like a number or a date is text only in quotes.
    values = [author] if re.fullmatch(AUTHOR, author) else []
    for value in (*values, json.dumps(author)):
        line = f"author: {value}"
        yield BLANK.sub(lambda _, line=line: line, text, count=1)  # type: ignore[misc]
        yield f"{text.rstrip()}\n{line}\n"


def _value(text: str) -> Mapping[str, JsonValue] | None:
    try:
        return read_yaml(text, MAX_SUBMISSION_BYTES).value
    except InvalidInput:
        return None
