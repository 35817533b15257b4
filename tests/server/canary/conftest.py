import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient


@pytest.fixture
def watching(app: FastAPI, client: TestClient) -> TestClient:
    """A client of a server that asks workers for a canary every day."""
    app.state.settings = app.state.settings.model_copy(update={"canary_hours": 24.0})
    return client
