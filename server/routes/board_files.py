"""The board as files for spreadsheets and notebooks."""

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from server.dependencies import ReadSession, Tracks
from server.error_answers import documented
from server.served_tracks import find_served_track
from server.syndication.board_columns import board_columns
from server.syndication.board_rows import listed_board
from server.syndication.csv_file import csv_pieces
from server.syndication.parquet_file import parquet_file

router = APIRouter(prefix="/tracks", tags=["board"])

CSV = "text/csv; charset=utf-8"
PARQUET = "application/vnd.apache.parquet"


@router.get(
    "/{track}/leaderboard.csv",
    response_class=StreamingResponse,
    responses={**documented(404), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def get_board_csv(
    track: str, session: ReadSession, tracks: Tracks, key: str | None = None
) -> StreamingResponse:
    """All rows of a board as CSV, the baseline first; docs/machine_readable.md has the columns."""
    served = find_served_track(track, tracks)
    board = listed_board(session, served, key)
    pieces = csv_pieces(board_columns(served.base.evaluation.tasks), board.rows)
    return StreamingResponse(pieces, media_type=CSV, headers=_named(track, board.key, "csv"))


@router.get(
    "/{track}/leaderboard.parquet",
    response_class=Response,
    responses={
        **documented(404, 501),
        200: {"content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}}},
    },
)
def get_board_parquet(
    track: str, session: ReadSession, tracks: Tracks, key: str | None = None
) -> Response:
    """All rows of a board as Parquet, with the same columns; 501 where pyarrow is missing."""
    served = find_served_track(track, tracks)
    board = listed_board(session, served, key)
    content = parquet_file(board_columns(served.base.evaluation.tasks), board.rows)
    return Response(content, media_type=PARQUET, headers=_named(track, board.key, "parquet"))


def _named(track: str, key: str | None, ending: str) -> dict[str, str]:
    """What a browser calls the file that it stores."""
    name = f"{track}-{key}" if key else track
    return {"Content-Disposition": f'attachment; filename="{name}.{ending}"'}
