import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.syndication.board_rows import ListedRow, listed_board
from tests.server.factories import submit_and_finish


@pytest.fixture
def listed_row(client: TestClient, session: Session, tracks: dict[str, Track]) -> ListedRow:
    """A row of the debug track."""
    submit_and_finish(client, "Baseline", val_loss=2.0)
    return next(listed_board(session, tracks["debug"]).rows)
