from fastapi import FastAPI
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.board_keys import board_keys
from tests.server.boards import NORM, queueing
from tests.server.idle.gains import DROPOUT, WITHOUT, confirm, work


def test_a_key_counts_the_experiments_that_its_board_lists_and_no_ablations(
    app: FastAPI, client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    queueing(app)
    confirm(client, NORM | DROPOUT)
    work(client, WITHOUT, 2)
    (key,) = board_keys(session, tracks["debug"])
    # The baseline's five runs, the gain's three and one without each of its two settings.
    assert (key.num_experiments, key.num_runs) == (2, 10)
