from starlette.testclient import TestClient

from tests.server.factories import submit_and_finish

GZIP = {"Accept-Encoding": "gzip"}


def test_curves_are_compressed_and_nothing_else_of_the_api(client: TestClient) -> None:
    submission = submit_and_finish(client).submission_id
    path = f"/api/v1/submissions/{submission}"
    curves = client.get(f"{path}/curves", headers=GZIP)
    assert curves.headers["content-encoding"] == "gzip"
    assert curves.headers["vary"] == "Accept-Encoding"
    assert curves.json() == client.get(f"{path}/curves", headers={"Accept-Encoding": ""}).json()
    assert "content-encoding" not in client.get(path, headers=GZIP).headers
