import pytest
from starlette.testclient import TestClient

from server.sign_in.setup import CALLBACK


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/sign-in"), ("GET", CALLBACK), ("POST", "/sign-out")]
)
def test_where_sign_in_is_off_there_is_nothing_of_it(
    client: TestClient, method: str, path: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == 404
    page = client.get("/")
    assert "sign-in" not in page.text
    assert page.headers["Cache-Control"] == "no-cache"
    assert "set-cookie" not in page.headers
