import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.overrides import resolve
from core.schema.track import Track
from core.tracks import BASELINES, load_tracks
from server import app as app_module
from server.app import create_app
from server.database import create_engine, upgrade
from server.settings import ServerSettings

Serve = Callable[..., AbstractContextManager[TestClient]]
"""Takes tracks, and settings that differ from the test's."""


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated database without rows; migrating once saves each test a quarter second."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture(scope="session")
def tracks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's tracks, for results that tests make up."""
    return unpinned_tracks(tmp_path_factory.mktemp("tracks") / "baselines")


def unpinned_tracks(folder: Path) -> Path:
    """The project's tracks without measured runs, so that a new measurement breaks no test."""
    shutil.copytree(BASELINES, folder)
    for results in folder.glob("*/results.json"):
        results.write_text('{"runs": []}')
    debug = folder / "debug" / "track.yaml"
    # Results in tests are of made-up data.
    debug.write_text(re.sub(r"expected_data:\n(  .*\n)+", "", debug.read_text()))
    # Ten runs are cheap for a worker, not for a test.
    debug.write_text(debug.read_text().replace("baseline_runs: 10\n", ""))
    return folder


@pytest.fixture
def settings(
    tmp_path: Path, empty_database: bytes, tracks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> ServerSettings:
    """Settings with a database of the test's own, whatever the environment says."""
    monkeypatch.delenv("FIVE_DOLLAR_DATABASE_URL", raising=False)
    path = tmp_path / "board.sqlite"
    path.write_bytes(empty_database)
    return ServerSettings(
        database_url=f"sqlite:///{path}",
        public_url="http://board.test",
        tracks_folder=tracks_folder,
        # So that a queue holds what a test puts there; tests of verdicts say otherwise.
        queues_runs=False,
        canary_hours=0.0,
    )


@pytest.fixture(scope="session")
def tracks(tracks_folder: Path) -> dict[str, Track]:
    return load_tracks(tracks_folder)


@pytest.fixture
def app(
    settings: ServerSettings, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """The application; reading the tracks anew would take half of a test's time."""
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of the running application; a fault of the server is an answer, not an error."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def engine(app: FastAPI, client: TestClient) -> Engine:
    """The running application's database."""
    engine: Engine = app.state.engine
    return engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session to read with, beside the application's own."""
    with Session(engine) as session:
        yield session


@pytest.fixture
def serve(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Start a server on some tracks; each start has the same database."""

    @contextmanager
    def start(
        tracks: Mapping[str, Track], settings: ServerSettings = settings
    ) -> Iterator[TestClient]:
        monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield client

    return start


@pytest.fixture
def moved(tracks: dict[str, Track]) -> dict[str, Track]:
    """The debug track at version 2: a lower learning rate, and no dropout to choose."""
    debug = tracks["debug"]
    settings = [name for name in debug.rules.open_settings if name != "model.dropout"]
    rules = debug.rules.model_copy(update={"version": 2, "open_settings": tuple(settings)})
    base = resolve(debug.base, {"optimizer.muon.learning_rate": 0.02})
    return {"debug": Track(rules=rules, base=base)}
