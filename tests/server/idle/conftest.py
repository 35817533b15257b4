from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest
from starlette.testclient import TestClient

from core.schema.overrides import resolve
from core.schema.track import Track
from server import app as app_module
from server.app import create_app
from server.settings import ServerSettings

Serve = Callable[..., AbstractContextManager[TestClient]]
"""Takes tracks, and settings that differ from the test's."""


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """Settings of a server that queues runs by itself."""
    return settings.model_copy(update={"queues_runs": True})


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
