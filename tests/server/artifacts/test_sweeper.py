import asyncio
import logging
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from server.artifacts import sweeper as sweeper_module
from server.artifacts.store import ArtifactStore
from server.artifacts.sweeper import Sweeper, sweep_orphans
from server.errors import ArtifactsUnavailable
from tests.server.artifacts.lease import fetch, leave
from tests.server.factories import claim_one, finish, submit

FAST = 0.01


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


async def run_for(sweeper: Sweeper, seconds: float) -> None:
    sweeper.start()
    await asyncio.sleep(seconds)
    await sweeper.stop()


def test_a_file_of_no_job_is_deleted_once_it_cannot_be_on_its_way_in(
    client: TestClient, engine: Engine, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    submit(client)
    offer = claim_one(client)
    leave(client, offer)
    folder = tmp_path / "artifacts"
    (kept,) = folder.iterdir()
    old, new = (
        kept.with_name("j_aaaaaaaaaa-1-5-00c0ffee.tar"),
        kept.with_name("j_bbbbbbbbbb-1-5-00c0ffee.tar"),
    )
    others = kept.with_name("holiday.tar")
    for path in (old, new, others):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    for path in (old, others, kept):
        os.utime(path, (two_hours_ago, two_hours_ago))
    sweep_orphans(engine, artifacts)
    assert set(folder.iterdir()) == {kept, new, others}
    assert fetch(client, offer).content == b"weights"


def test_the_sweeper_deletes_while_the_server_runs(
    client: TestClient, engine: Engine, artifacts: ArtifactStore
) -> None:
    submit(client)
    offer = claim_one(client)
    leave(client, offer)
    finish(client, offer)
    assert len(artifacts.names()) == 1
    asyncio.run(run_for(Sweeper(engine, artifacts, FAST), 0.3))
    assert artifacts.names() == []


def test_the_sweeper_outlives_a_store_that_fails(
    engine: Engine,
    artifacts: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = 0

    def fail(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        raise ArtifactsUnavailable("the server cannot reach its artifacts (no route).")

    monkeypatch.setattr(sweeper_module, "sweep_ended", fail)
    asyncio.run(run_for(Sweeper(engine, artifacts, FAST), 0.3))
    assert calls > 1
    assert "checkpoints were not swept" in caplog.text


def test_a_sweeper_that_dies_says_so(
    engine: Engine,
    artifacts: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def break_down(*arguments: object) -> None:
        raise KeyError("a fault of the program")

    monkeypatch.setattr(sweeper_module, "sweep_ended", break_down)
    asyncio.run(run_for(Sweeper(engine, artifacts, FAST), 0.3))
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "checkpoints are no longer deleted" in record.message
