import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.server.factories import API, post_yaml, submission_yaml, submit
from tests.server.sign_in.conftest import Visit, form_token

CANCEL = f"{API}/submissions/s_x/cancel"
SIGN_OUT = "/sign-out"


def refused(browser: TestClient, headers: dict[str, str]) -> str:
    """Why a signed-in browser may not cancel; empty if it may, and nothing is there to cancel."""
    response = browser.post(CANCEL, headers=headers)
    assert response.status_code in (403, 404), response.text
    body = response.json()
    assert body["kind"] == ("forged_request" if response.status_code == 403 else "not_found")
    return str(body["message"]) if response.status_code == 403 else ""


def test_a_signed_in_browser_needs_the_token_of_its_pages(visit: Visit) -> None:
    browser = visit()
    token = form_token(browser)
    assert refused(browser, {"X-CSRF-Token": token}) == ""
    for wrong in ("", "x", token[:-1], token + "A", token.lower()):
        assert "not sent from a page of your present session" in refused(
            browser, {"X-CSRF-Token": wrong}
        )
    assert "not sent from a page" in refused(browser, {})


@pytest.mark.parametrize("field", [{}, {"csrf_token": ""}, {"csrf_token": "é"}, {"other": "y"}])
def test_a_form_without_the_token_changes_nothing(visit: Visit, field: dict[str, str]) -> None:
    browser = visit()
    response = browser.post(SIGN_OUT, data=field, follow_redirects=False)
    assert response.status_code == 403
    assert "nothing was changed" in response.text
    assert "session" in browser.cookies


def test_the_token_of_another_session_is_worth_nothing(visit: Visit) -> None:
    ada, bob = visit("ada", 1), visit("bob", 2)
    assert refused(ada, {"X-CSRF-Token": form_token(bob)})
    assert refused(ada, {"X-CSRF-Token": form_token(ada)}) == ""


def test_the_token_is_read_from_forms_alone(visit: Visit) -> None:
    browser = visit()
    token = form_token(browser)
    by_json = browser.post(SIGN_OUT, json={"csrf_token": token}, follow_redirects=False)
    in_address = browser.post(f"{SIGN_OUT}?csrf_token={token}", follow_redirects=False)
    assert (by_json.status_code, in_address.status_code) == (403, 403)
    by_form = browser.post(SIGN_OUT, data={"csrf_token": token}, follow_redirects=False)
    assert by_form.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "http://board.test.evil.test"},
        {"Origin": "https://board.test"},
        {"Origin": "http://board.test:81"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://board.test"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.test"},
    ],
)
def test_another_site_is_refused_even_with_the_token(visit: Visit, headers: dict[str, str]) -> None:
    browser = visit()
    message = refused(browser, {"X-CSRF-Token": form_token(browser), **headers})
    assert "came from another site" in message


@pytest.mark.parametrize(
    "headers",
    [
        # The public address, and the one that the browser asked.
        {"Origin": "http://board.test", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_the_servers_own_pages_are_let_through(visit: Visit, headers: dict[str, str]) -> None:
    browser = visit()
    assert refused(browser, {"X-CSRF-Token": form_token(browser), **headers}) == ""


def test_an_access_token_needs_no_form_token_and_is_nobody_elses(
    app: FastAPI, visit: Visit, administrator: TestClient
) -> None:
    submit(administrator, author="bob")
    # A browser that sends both acts by the token alone, though it is not valid.
    browser = visit("ada")
    headers = {"Authorization": "Bearer fdl_nobody"}
    assert browser.post(CANCEL, headers=headers).status_code == 401
    both = TestClient(app, cookies=dict(browser.cookies), headers=administrator.headers)
    assert post_yaml(both, submission_yaml(author="carol")).status_code == 201


def test_another_site_is_refused_without_a_session_too(client: TestClient) -> None:
    # Nobody is signed in, so that only a token would let it through: the answer is not 401.
    for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        assert "came from another site" in refused(client, headers)
        basic = {"Authorization": "Basic YTpi", **headers}
        assert "came from another site" in refused(client, basic)
        assert (
            client.post(CANCEL, headers={"Authorization": "Bearer x", **headers}).status_code == 401
        )


def test_reading_needs_no_form_token(visit: Visit) -> None:
    browser = visit()
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert browser.get("/", headers=headers).status_code == 200
    assert browser.get(f"{API}/tracks", headers=headers).status_code == 200
