import gc
import sys
from collections.abc import Iterator

import pytest

from server import __main__ as main_module
from server.collection import spare_startup
from server.settings import ServerSettings
from server.web_server import WebServer


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_exists_at_the_start_is_not_looked_through_again() -> None:
    known: list[object] = []
    assert any(one is known for one in gc.get_objects())
    spare_startup()
    assert not any(one is known for one in gc.get_objects())


def test_the_server_spares_its_start_up_before_it_serves(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    serve = lambda server: counts.append(gc.get_freeze_count())  # noqa: E731
    monkeypatch.setattr(main_module, "read_settings", lambda: settings)
    monkeypatch.setattr(main_module, "set_up_logging", lambda: None)
    monkeypatch.setattr(WebServer, "serve_until_interrupted", serve)
    main_module.main()
    assert counts[0] > sys.getrecursionlimit()
