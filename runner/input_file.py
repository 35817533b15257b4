"""Reading the files that a person names."""

from pathlib import Path

from core.errors import InvalidInput
from core.schema.problem import Problem
from core.schema.submission import MAX_SUBMISSION_BYTES
from runner.errors import NotFound


def read_submission_file(path: Path) -> bytes:
    """The bytes of a submission, unread by YAML.

    Raises:
        NotFound: there is no such file.
        InvalidInput: a folder, a file that may not be read, or one that is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SUBMISSION_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no file {path}. Examples are in the folder `submissions`."
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _refusal(f"{path} cannot be read: {reason}. Name a YAML file.") from error
    if len(data) > MAX_SUBMISSION_BYTES:
        raise _refusal(
            f"{path} is too large for a submission: at most {MAX_SUBMISSION_BYTES:,} bytes "
            "are allowed."
        )
    return data


def _refusal(message: str) -> InvalidInput:
    return InvalidInput([Problem(path="", message=message)])
