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

from benchmarks.postgresql import Cluster, find_programs, running_cluster
from core.schema.overrides import resolve
from core.schema.track import Track
from core.tracks import BASELINES, load_tracks
from server import app as app_module
from server.app import create_app
from server.database import create_engine, upgrade
from server.settings import ServerSettings

Serve = Callable[..., AbstractContextManager[TestClient]]
"""Takes tracks, and settings that differ from the test's."""


ON_BOTH_STORES = {
    "artifacts.test_checkpoints",
    "canary.test_schedule",
    "drafts.test_check",
    "ledger.test_ledger",
    "quota.test_book",
    "quota.test_check",
    "quota.test_shares",
    "authors.test_authors",
    "board.test_kept_standings",
    "memory.test_candidates",
    "memory.test_change_rows",
    "routes.test_board",
    "routes.test_memory",
    "sign_in.test_author_names",
    "settlement.test_settler",
    "test_app",
    "test_curve_keeper",
    "test_database",
    "test_error_answers",
    "test_expired_leases",
    "test_job_queue",
    "test_lease",
    "test_metric_points",
    "test_outdated_jobs",
    "test_reaper",
    "test_repeated_claims",
    "test_reports",
    "test_results",
    "test_runs",
    "test_submissions",
    "test_worker_data",
    "trust.test_marks",
    "trust.test_verification",
    "verdict.test_judging",
    "verdict.test_records",
    "verdict.test_repeats",
    "verdict.test_withdrawals",
    "waiting.test_alarm",
    "waiting.test_fleet",
    "waiting.test_forecast",
}
"""Modules whose subject locks rows, races, or depends on what a database answers."""


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated database without rows; migrating once saves each test a quarter second."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    _migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL cluster for the tests of one process."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the extra `postgresql` is not installed")
    with running_cluster(programs, durable=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def empty_postgresql(postgresql: Cluster) -> str:
    """Name of a migrated database without rows."""
    name = postgresql.create_database()
    _migrate(postgresql.url(name))
    return name


def _migrate(url: str) -> None:
    engine = create_engine(url)
    upgrade(engine)
    engine.dispose()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the modules named above on both stores, unless it names its own."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "store" in metafunc.fixturenames and not any(mark.args[0] == "store" for mark in marks):
        module = metafunc.module.__name__.removeprefix("tests.server.")
        stores = ("sqlite", "postgresql") if module in ON_BOTH_STORES else ("sqlite",)
        metafunc.parametrize("store", stores)


@pytest.fixture
def database_url(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of the test's own."""
    if store == "sqlite":
        path = tmp_path / "board.sqlite"
        path.write_bytes(request.getfixturevalue("empty_sqlite"))
        yield f"sqlite:///{path}"
        return
    template: str = request.getfixturevalue("empty_postgresql")
    yield from _new_database(request.getfixturevalue("postgresql"), template)


@pytest.fixture
def bare_url(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own without tables."""
    if store == "sqlite":
        yield f"sqlite:///{tmp_path}/bare.sqlite"
        return
    yield from _new_database(request.getfixturevalue("postgresql"))


def _new_database(cluster: Cluster, template: str = "template1") -> Iterator[str]:
    name = cluster.create_database(template)
    yield cluster.url(name)
    cluster.drop_database(name)


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
    database_url: str, tracks_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ServerSettings:
    """Settings with a database of the test's own, whatever the environment says."""
    monkeypatch.delenv("FIVE_DOLLAR_DATABASE_URL", raising=False)
    return ServerSettings(
        database_url=database_url,
        artifacts_url=f"file://{tmp_path}/artifacts",
        public_url="http://board.test",
        tracks_folder=tracks_folder,
        # So that a queue holds what a test puts there; tests of verdicts say otherwise.
        queues_runs=False,
        canary_hours=0.0,
        # Tests change the database behind the server's back.
        page_cache_seconds=0.0,
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
