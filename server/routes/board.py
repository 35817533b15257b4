"""The board as JSON: leaderboard, comparison, curves, histories."""

from typing import Annotated

from fastapi import APIRouter, Query

from server.board.history import BoardHistory, board_history
from server.board.query import BoardQuery
from server.comparison.compare import Comparison, compare
from server.comparison.query import CompareQuery
from server.curves import SubmissionCurves, submission_curves
from server.dependencies import ReadSession, Tracks
from server.error_answers import documented
from server.leaderboard import Leaderboard, leaderboard
from server.ledger.histories import SubmissionHistory, submission_history
from server.served_tracks import find_served_track
from server.submissions import find_submission

router = APIRouter(prefix="/api/v1", tags=["board"])


@router.get("/tracks/{track}/leaderboard", responses=documented(404))
def get_leaderboard(
    track: str,
    session: ReadSession,
    tracks: Tracks,
    query: Annotated[BoardQuery, Query()],
) -> Leaderboard:
    """A page of a track's board, under the key of its newest baseline run by default."""
    return leaderboard(session, find_served_track(track, tracks), query)


@router.get("/tracks/{track}/history", responses=documented(404))
def get_history(
    track: str, session: ReadSession, tracks: Tracks, key: str | None = None
) -> BoardHistory:
    """The records of a board over time, and its frontier of loss against cost."""
    return board_history(session, find_served_track(track, tracks), key)


@router.get("/compare", responses=documented(404))
def get_comparison(
    session: ReadSession, tracks: Tracks, query: Annotated[CompareQuery, Query()]
) -> Comparison:
    """The settings, figures and answers in which two to six submissions differ."""
    return compare(session, tracks, query.compared())


@router.get("/submissions/{submission_id}/curves", responses=documented(404))
def get_curves(submission_id: str, session: ReadSession) -> SubmissionCurves:
    """What the runs of a submission's experiment measured, at most 500 points a curve."""
    return submission_curves(session, find_submission(session, submission_id))


@router.get("/submissions/{submission_id}/ledger", responses=documented(404))
def get_submission_ledger(submission_id: str, session: ReadSession) -> SubmissionHistory:
    """What the ledger tells of a submission, its experiment, runs and jobs, the newest first."""
    return submission_history(session, find_submission(session, submission_id))
