import subprocess
import sys
from datetime import timedelta

from sqlmodel import select
from starlette.testclient import TestClient

from server.app import create_app
from server.database import create_engine, read_session, write_session
from server.settings import ServerSettings
from server.tables import Job, utc_now
from tests.server.factories import API, claim_one, finish, heartbeat, post_yaml, submission_yaml

FORBIDDEN = ("torch", "numpy", "transformers", "datasets", "runner")


def test_the_server_imports_neither_torch_nor_the_runner() -> None:
    script = (
        "import sys, server.app, server.__main__\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert output.strip() == "[]"


def test_what_was_acknowledged_is_there_after_a_restart(settings: ServerSettings) -> None:
    with TestClient(create_app(settings)) as client:
        receipt = post_yaml(client, submission_yaml(), "same-key").json()
        offer = claim_one(client)
    with TestClient(create_app(settings)) as client:
        again = post_yaml(client, submission_yaml(), "same-key").json()
        assert {**again, "forecast": None} == {**receipt, "forecast": None}
        finish(client, offer, val_loss=2.0)
        status = client.get(f"{API}/runs/{receipt['run_id']}").json()
        assert (status["state"], status["result"]["val_loss"]) == ("succeeded", 2.0)


def test_a_lease_that_ran_out_while_the_server_was_down_is_still_the_workers(
    settings: ServerSettings,
) -> None:
    with TestClient(create_app(settings)) as client:
        post_yaml(client, submission_yaml())
        offer = claim_one(client)
    engine = create_engine(settings.database_url)
    with write_session(engine) as session:
        session.exec(select(Job)).one().lease_expires_at = utc_now() - timedelta(hours=1)
    engine.dispose()
    with TestClient(create_app(settings)) as client:
        assert heartbeat(client, offer).status_code == 200


def test_an_empty_database_is_migrated_at_the_start(
    settings: ServerSettings, bare_url: str
) -> None:
    fresh = ServerSettings(database_url=bare_url, tracks_folder=settings.tracks_folder)
    with TestClient(create_app(fresh)) as client:
        assert client.get(f"{API}/submissions").json() == {"total": 0, "submissions": []}
    engine = create_engine(fresh.database_url)
    with read_session(engine) as session:
        assert session.exec(select(Job)).all() == []
    engine.dispose()


def test_the_tracks_can_be_read(client: TestClient) -> None:
    tracks = client.get(f"{API}/tracks").json()
    assert {"debug", "gpu_24gb"} <= {rules["name"] for rules in tracks}
    debug = client.get(f"{API}/tracks/debug").json()
    assert debug["rules"]["first_seed"] == 1000
    assert debug["base"]["model"]["hidden_size"] == 128
    response = client.get(f"{API}/tracks/nothing")
    assert (response.status_code, response.json()["kind"]) == (404, "not_found")
