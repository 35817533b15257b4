"""Forecasts worked by hand, through the same API that authors and workers use."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.forecast import Forecast
from core.schema.job import SubmissionReceipt
from core.schema.track import Track
from server import queue_listing
from server.database import write_session
from server.queue_listing import list_queue
from server.settings import ServerSettings
from server.tables import Job
from server.waiting import forecast as module
from server.waiting.forecast import UNTIMED, run_forecast
from tests.server.factories import (
    API,
    GIB,
    claim_one,
    finish,
    register,
    submit,
    submit_and_finish,
)
from tests.server.waiting.moments import NOW, begin, see, take

H100 = {"device": "NVIDIA H100", "has_cuda": True, "memory_bytes": 80 * GIB}


class Board:
    """A board as of `NOW`."""

    def __init__(
        self,
        client: TestClient,
        engine: Engine,
        session: Session,
        tracks: dict[str, Track],
        settings: ServerSettings,
    ) -> None:
        self.client, self.engine, self.session = client, engine, session
        self.view: Any = (session, tracks, settings)

    def forecast(self, receipt: SubmissionReceipt) -> Forecast:
        self.session.rollback()
        found = run_forecast(*self.view, receipt.run_id, NOW)
        assert found is not None
        return found

    def times(self, receipt: SubmissionReceipt) -> tuple[float | None, float | None]:
        """Start and end in seconds from `NOW`."""
        found = self.forecast(receipt)
        return _seconds(found.starts_at), _seconds(found.ends_at)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - NOW).total_seconds()


@pytest.fixture
def board(
    client: TestClient,
    engine: Engine,
    session: Session,
    tracks: dict[str, Track],
    settings: ServerSettings,
) -> Board:
    """A worker on which a run of the debug track takes 100 s."""
    take(engine, submit_and_finish(client).run_id, 100.0)
    return Board(client, engine, session, tracks, settings)


def test_jobs_start_once_the_one_that_runs_and_those_ahead_are_done(board: Board) -> None:
    running, second, third = (submit(board.client) for _ in range(3))
    claim_one(board.client)
    begin(board.engine, running.run_id, seconds_ago=40.0)
    assert board.times(running) == (-40.0, 60.0)
    assert board.times(second) == (60.0, 160.0)
    assert board.times(third) == (160.0, 260.0)
    assert [board.forecast(one).position for one in (running, second, third)] == [None, 1, 2]
    assert {board.forecast(one).basis for one in (running, second, third)} == {"measured"}


def test_a_run_that_takes_longer_than_expected_may_end_any_moment(board: Board) -> None:
    running, waiting = submit(board.client), submit(board.client)
    claim_one(board.client)
    begin(board.engine, running.run_id, seconds_ago=500.0)
    assert board.times(running) == (-500.0, 0.0)
    assert board.times(waiting) == (0.0, 100.0)


def test_two_workers_share_the_queue(board: Board) -> None:
    register(board.client, "second")
    receipts = [submit(board.client) for _ in range(3)]
    assert [board.times(one) for one in receipts] == [(0, 100), (0, 100), (100, 200)]


def test_silent_workers_do_not_count(board: Board) -> None:
    register(board.client, "second")
    see(board.engine, "second", seconds_ago=91.0)
    receipts = [submit(board.client) for _ in range(2)]
    assert [board.times(one) for one in receipts] == [(0, 100), (100, 200)]


def test_jobs_that_other_workers_take_are_ahead_but_cost_no_time(board: Board) -> None:
    submit(board.client, track="gpu_24gb")
    mine = submit(board.client)
    assert board.forecast(mine).position == 2
    assert board.times(mine) == (0.0, 100.0)


def test_a_track_without_a_run_is_estimated(board: Board) -> None:
    register(board.client, "gpu", **H100)
    receipt = submit(board.client, track="gpu_24gb")
    start, end = board.times(receipt)
    # 500 steps at 0.025 s each, as measured runs of this GPU have it, and 30 s to compile.
    assert start == 0.0
    assert end == pytest.approx(30 + 500 * 0.025, rel=0.01)
    assert board.forecast(receipt).basis == "estimated"


def test_where_nothing_is_known_of_a_track_only_the_first_start_is(board: Board) -> None:
    with write_session(board.engine) as session:
        session.exec(select(Job)).one().attempt = 2  # so that no run was timed
    first, second = submit(board.client), submit(board.client)
    assert board.times(first) == (0.0, None)
    assert board.times(second) == (None, None)
    assert board.forecast(first).note == board.forecast(second).note == UNTIMED
    assert board.forecast(first).basis is None


def test_it_says_that_no_worker_fits_instead_of_a_time(board: Board) -> None:
    big = submit(board.client, track="gpu_24gb")
    assert board.times(big) == (None, None)
    assert board.forecast(big).note == "No worker that may take it has registered yet."
    register(board.client, "gpu", **H100)
    see(board.engine, "gpu", seconds_ago=3600.0)
    seen = NOW - timedelta(hours=1)
    assert board.forecast(big).note == (
        f"No worker that may take it is there; the last one was seen {seen:%Y-%m-%d %H:%M} UTC."
    )


def test_behind_the_simulated_jobs_times_are_scaled(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SIMULATED", 2)
    receipts = [submit(board.client) for _ in range(5)]
    # The second of two starts at 100 s: with n ahead, 100 n / 2.
    expected = [(0, 100), (100, 200), (100, 200), (150, 250), (200, 300)]
    assert [board.times(one) for one in receipts] == expected


def test_the_queue_tells_the_same_as_each_run(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SIMULATED", 3)
    receipts = [submit(board.client) for _ in range(5)]
    submit(board.client, track="gpu_24gb")
    begun = claim_one(board.client)
    begin(board.engine, begun.run.run_id, seconds_ago=10.0)
    board.session.rollback()
    queue = list_queue(*board.view, NOW)
    listed = {entry.run_id: entry.forecast for entry in (*queue.running, *queue.queued)}
    assert len(listed) == 6
    assert all(listed[one.run_id] == board.forecast(one) for one in receipts)
    monkeypatch.setattr(queue_listing, "PER_PAGE", 2)
    pages = [list_queue(*board.view, NOW, page).queued for page in (1, 2, 3)]
    assert tuple(entry for page in pages for entry in page) == queue.queued


def test_a_run_that_is_over_has_no_forecast(board: Board) -> None:
    receipt = submit(board.client)
    finish(board.client, claim_one(board.client))
    board.session.rollback()
    assert run_forecast(*board.view, receipt.run_id, NOW) is None


def test_every_answer_to_an_author_carries_it(board: Board) -> None:
    submit(board.client)
    receipt = submit(board.client)
    assert receipt.forecast is not None
    assert (receipt.jobs_ahead, receipt.forecast.position) == (1, 2)
    run = board.client.get(f"{API}/runs/{receipt.run_id}").json()
    detail = board.client.get(f"{API}/submissions/{receipt.submission_id}").json()
    queue = board.client.get(f"{API}/queue").json()
    for found in (run["forecast"], detail["run"]["forecast"], queue["queued"][1]["forecast"]):
        assert (found["position"], found["basis"]) == (2, "measured")
        start = datetime.fromisoformat(found["starts_at"])
        as_of = datetime.fromisoformat(found["as_of"])
        assert start - as_of == timedelta(seconds=100)


def test_the_pages_show_it(board: Board) -> None:
    submit(board.client)
    receipt = submit(board.client)
    page = board.client.get(f"/submissions/{receipt.submission_id}").text
    assert "Place 2 in the queue." in page
    assert ">in 2 min</time> and end" in page
    assert "by how long runs took here" in page
    assert ">in 2 min</time></td>" in board.client.get("/queue").text
    lost = submit(board.client, track="gpu_24gb")
    for path in ("/queue", f"/submissions/{lost.submission_id}"):
        assert "No worker that may take it has registered yet." in board.client.get(path).text
