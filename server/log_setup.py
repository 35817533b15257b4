"""How the server writes its log: one line a record, with the ids that it is about."""

import logging

from server.sign_in.setup import CALLBACK

ID_NAMES = (
    "submission_id",
    "run_id",
    "job_id",
    "worker_id",
    "token_id",
    "author",
    "track",
    "attempt",
    "state",
    "failure",
    "runs",
)
"""Keys of `extra` that are shown."""


class IdFormatter(logging.Formatter):
    """Puts the ids of a record behind its message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        """The line, without a traceback."""
        ids = [f"{name}={vars(record)[name]}" for name in ID_NAMES if name in vars(record)]
        return " ".join((super().formatMessage(record), *ids))


class CodeFilter(logging.Filter):
    """Leaves out the code that a browser brings back from GitHub in the address it asks for."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the address of uvicorn's line; every record is kept."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                f"{CALLBACK}?..." if str(part).startswith(f"{CALLBACK}?") else part
                for part in record.args
            )
        return True


def set_up_logging() -> None:
    """Log to stderr from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(IdFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(CodeFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
