import pytest

from server.settings import ServerSettings


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """Settings of a server that queues runs by itself."""
    return settings.model_copy(update={"queues_runs": True})
