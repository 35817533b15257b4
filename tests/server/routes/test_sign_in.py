import pytest
from starlette.testclient import TestClient

from server.sign_in.setup import CALLBACK
from tests.server.factories import submit


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sign-in"),
        ("GET", CALLBACK),
        ("POST", "/sign-out"),
        ("POST", "/submissions/s_x/rerun"),
        ("POST", "/submissions/s_x/withdraw"),
    ],
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


def test_where_sign_in_is_off_a_submission_has_no_forms(client: TestClient) -> None:
    html = client.get(f"/submissions/{submit(client).submission_id}").text
    assert "<form" not in html
