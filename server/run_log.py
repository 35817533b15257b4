"""Reading the log of a run."""

from contextlib import closing

from sqlmodel import Session, col, select

from server.tables import LogPiece

SHOWN_LINES = 100
"""Last lines of a run's log that are shown with it."""


def log_tail(session: Session, run_id: str, lines: int) -> tuple[str, ...]:
    """The last lines of the log of the run's newest attempt that has one."""
    pieces = select(LogPiece).where(LogPiece.run_id == run_id)
    newest_first = pieces.order_by(col(LogPiece.attempt).desc(), col(LogPiece.offset).desc())
    text, attempt = "", None
    # Pieces are read from the end, as many as the lines need: a log may be long.
    with closing(session.exec(newest_first.execution_options(yield_per=16))) as found:
        for piece in found:
            if attempt not in (None, piece.attempt) or text.count("\n") > lines:
                break
            text, attempt = piece.text + text, piece.attempt
    return tuple(text.splitlines()[-lines:])
