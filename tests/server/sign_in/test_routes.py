import logging
import time
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from httpx2 import Response
from itsdangerous import TimestampSigner
from sqlmodel import Session
from starlette.testclient import TestClient

from server.access.tokens import list_tokens
from server.app import create_app
from server.log_setup import CodeFilter
from server.settings import ServerSettings
from server.sign_in.setup import ATTEMPT_SECONDS, CALLBACK, SESSION_SECONDS
from tests.server.factories import API, post_yaml, submission_yaml
from tests.server.sign_in.conftest import SESSION_KEY, Visit, connect, form_token
from tests.server.sign_in.fake_github import ACCESS_TOKEN, CLIENT_SECRET, FakeGitHub

HTML = {"Accept": "text/html"}


def begin(browser: TestClient, back: str = "/") -> str:
    """The address at GitHub that a browser is sent to."""
    response = browser.get("/sign-in", params={"back": back}, follow_redirects=False)
    assert response.status_code == 303
    return response.headers["Location"]


def finish(browser: TestClient, answer: dict[str, str]) -> Response:
    return browser.get(CALLBACK, params=answer, headers=HTML, follow_redirects=False)


def test_whoever_agrees_at_github_is_signed_in_on_the_page_where_they_began(
    client: TestClient, github: FakeGitHub
) -> None:
    page = client.get("/tracks/debug").text
    assert 'href="/sign-in?back=%2Ftracks%2Fdebug"' in page
    address = begin(client, "/tracks/debug")
    assert address.startswith("https://github.com/login/oauth/authorize?")
    asked = dict(parse_qsl(urlsplit(address).query))
    assert asked["redirect_uri"] == f"http://board.test{CALLBACK}"
    response = finish(client, github.agree(address))
    assert (response.status_code, response.headers["Location"]) == (303, "/tracks/debug")
    page = client.get("/tracks/debug")
    assert "Signed in as </span>ada" in page.text
    assert "Sign in with GitHub" not in page.text
    assert page.headers["Cache-Control"] == "private, no-cache"
    assert page.headers["Vary"] == "Cookie"


def test_the_session_is_a_cookie_that_no_script_reads_and_that_holds_the_login_alone(
    app: FastAPI, client: TestClient, github: FakeGitHub
) -> None:
    response = finish(client, github.agree(begin(client)))
    (session,) = [c for c in response.headers.get_list("set-cookie") if c.startswith("session=")]
    parts = {part.strip() for part in session.split(";")[1:]}
    assert parts == {f"Max-Age={SESSION_SECONDS}", "Path=/", "HttpOnly", "SameSite=lax"}
    cookie = app.state.sign_in.session
    assert cookie._serializer.loads(client.cookies["session"]) == "ada"
    assert "sign-in" not in client.cookies


def test_over_https_cookies_are_secure_and_belong_to_this_host_alone(
    settings: ServerSettings, github: FakeGitHub
) -> None:
    secure = settings.model_copy(update={"public_url": "https://board.test"})
    app = connect(create_app(secure), secure, github)
    with TestClient(app, base_url="https://board.test") as browser:
        finish(browser, github.agree(begin(browser)))
        assert set(browser.cookies) == {"__Host-session"}
        assert all(cookie.secure for cookie in browser.cookies.jar)
        assert "Signed in as" in browser.get("/").text


@pytest.mark.parametrize(
    "back", ["//evil.test", "https://evil.test", "/\\evil.test", "/a\\b", "/a b", "", "x"]
)
def test_nobody_is_sent_to_another_site_afterwards(
    client: TestClient, github: FakeGitHub, back: str
) -> None:
    assert finish(client, github.agree(begin(client, back))).headers["Location"] == "/"


@pytest.mark.parametrize("state", ["", "wrong", "é"])
def test_a_sign_in_with_another_state_is_refused(
    client: TestClient, github: FakeGitHub, state: str
) -> None:
    answer = github.agree(begin(client)) | {"state": state}
    response = finish(client, answer)
    assert response.status_code == 403
    assert "did not begin in this browser" in response.text
    assert "session" not in client.cookies


def test_one_browsers_sign_in_is_worth_nothing_in_another(
    app: FastAPI, client: TestClient, github: FakeGitHub
) -> None:
    answer = github.agree(begin(client))
    assert finish(TestClient(app), answer).status_code == 403
    victim = TestClient(app)
    begin(victim)
    assert finish(victim, answer).status_code == 403
    assert "session" not in victim.cookies


@pytest.mark.parametrize(("spare_seconds", "status"), [(-2, 403), (10, 303)])
def test_a_sign_in_must_end_within_ten_minutes(
    client: TestClient,
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    spare_seconds: int,
    status: int,
) -> None:
    answer = github.agree(begin(client))
    _wait(monkeypatch, ATTEMPT_SECONDS - spare_seconds)
    assert finish(client, answer).status_code == status


def test_who_does_not_agree_is_told_that_nobody_was_signed_in(
    client: TestClient, github: FakeGitHub
) -> None:
    state = github.agree(begin(client))["state"]
    response = finish(client, {"error": "access_denied", "state": state})
    assert response.status_code == 403
    assert "You did not agree, so nobody was signed in" in response.text
    assert 'href="/sign-in?back=%2F"' in response.text
    assert "session" not in client.cookies
    other = finish(client, {"error": "<b>application_suspended", "state": state})
    assert "GitHub refused" in other.text
    assert "application_suspended" not in other.text


def test_a_code_that_github_does_not_know_signs_nobody_in(
    client: TestClient, github: FakeGitHub
) -> None:
    response = finish(client, github.agree(begin(client)) | {"code": "stolen"})
    assert response.status_code == 403
    assert "GitHub did not accept the sign-in" in response.text


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/login/oauth/access_token", httpx.Response(503)),
        ("/login/oauth/access_token", httpx.Response(200, text="<html>")),
        ("/login/oauth/access_token", httpx.Response(200, json=[1])),
        ("/login/oauth/access_token", httpx.Response(200, json={})),
        ("/user", httpx.Response(403, json={"message": "rate limit"})),
        ("/user", httpx.Response(200, json={"login": "ada"})),
        ("/user", httpx.Response(200, text="[")),
    ],
)
def test_an_answer_of_github_that_is_none_is_an_error_of_its_own(
    client: TestClient, github: FakeGitHub, path: str, answer: httpx.Response
) -> None:
    github.answers[path] = answer
    response = finish(client, github.agree(begin(client)))
    assert response.status_code == 502
    assert "GitHub cannot be reached or did not say who signs in" in response.text


def test_a_name_that_a_token_has_is_not_taken_by_signing_in(
    administrator: TestClient, client: TestClient, github: FakeGitHub
) -> None:
    github.login = "Root"
    response = finish(client, github.agree(begin(client)))
    assert response.status_code == 403
    assert "belongs to an access token" in response.text


def test_a_signed_in_person_submits_under_their_login_alone(visit: Visit) -> None:
    browser = visit("ada")
    browser.headers["X-CSRF-Token"] = form_token(browser)
    assert post_yaml(browser, submission_yaml(author="ada")).status_code == 201
    other = post_yaml(browser, submission_yaml(author="bob"))
    assert other.status_code == 422
    assert "'bob' is not allowed: the request comes from 'ada'" in other.json()["message"]


def test_a_signed_in_person_neither_works_nor_administers(visit: Visit, session: Session) -> None:
    browser = visit()
    browser.headers["X-CSRF-Token"] = form_token(browser)
    token = {"name": "eve", "scope": "admin", "days": 1}
    assert browser.post(f"{API}/tokens", json=token).status_code == 403
    assert browser.get(f"{API}/tokens").status_code == 403
    assert browser.post(f"{API}/workers/w_x/claim").status_code == 403
    assert list_tokens(session) == ()


def test_a_session_ends_by_itself(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = visit()
    token = form_token(browser)
    _wait(monkeypatch, SESSION_SECONDS - 10)
    assert "Signed in as" in browser.get("/").text
    _wait(monkeypatch, SESSION_SECONDS + 2)
    assert "Sign in with GitHub" in browser.get("/").text
    assert "session" in browser.cookies
    headers = {"X-CSRF-Token": token}
    ended = browser.post(f"{API}/submissions/s_x/rerun", json={"author": "ada"}, headers=headers)
    assert ended.status_code == 401
    assert "sign in again with the browser" in ended.json()["message"]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_cookie_that_was_changed_is_none(app: FastAPI, visit: Visit, part: int) -> None:
    browser = visit()
    parts = browser.cookies["session"].split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    forged = TestClient(app, cookies={"session": ".".join(parts)})
    assert "Sign in with GitHub" in forged.get("/").text
    assert forged.post(f"{API}/submissions/s_x/cancel").status_code == 401


def test_another_cookie_of_the_server_is_no_session(app: FastAPI, client: TestClient) -> None:
    begin(client)
    other = TestClient(app, cookies={"session": client.cookies["sign-in"]})
    assert "Sign in with GitHub" in other.get("/").text


def test_a_new_session_key_ends_all_sessions(visit: Visit, settings: ServerSettings) -> None:
    cookie = visit().cookies["session"]
    other = settings.model_copy(update={"session_key": type(settings.session_key)("x" * 40)})
    with TestClient(create_app(other), cookies={"session": cookie}) as browser:
        assert "Sign in with GitHub" in browser.get("/").text


def test_signing_out_forgets_the_session(visit: Visit) -> None:
    browser = visit()
    sent = {"csrf_token": form_token(browser)}
    response = browser.post("/sign-out", data=sent, follow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert "session" not in browser.cookies
    assert "Sign in with GitHub" in browser.get("/").text
    assert browser.get("/sign-out").status_code == 405


def test_another_sites_form_cannot_sign_out(app: FastAPI, client: TestClient) -> None:
    # Its request comes without the session's cookie, which is SameSite=Lax.
    response = client.post("/sign-out", follow_redirects=False)
    assert response.status_code == 303
    assert "set-cookie" not in response.headers


def test_no_secret_is_logged(
    client: TestClient, github: FakeGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(CodeFilter())
    answer = github.agree(begin(client))
    address = f"{CALLBACK}?code={answer['code']}&state={answer['state']}"
    line = ("127.0.0.1:1", "GET", address, "1.1", 303)
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *line)
    finish(client, answer)
    finish(client, github.agree(begin(client)) | {"code": "stolen"})
    github.answers["/user"] = httpx.Response(500, text=ACCESS_TOKEN)
    assert finish(client, github.agree(begin(client))).status_code == 502
    # The test's own browser is httpx2.
    ours = [record for record in caplog.records if not record.name.startswith("httpx2")]
    text = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in ours)
    assert "GET /sign-in/callback?... HTTP/1.1" in text
    assert "signed in" in text
    for secret in (answer["state"], CLIENT_SECRET, ACCESS_TOKEN, SESSION_KEY):
        assert secret not in text
    assert client.cookies["session"] not in text


def test_pages_with_a_session_keep_to_the_policy(visit: Visit) -> None:
    for path in ("/", "/queue", "/nothing"):
        response = visit().get(path)
        assert "form-action 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "private, no-cache"


def _wait(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let all that was signed be older, and the browser keep it all the same."""
    now = int(time.time() + seconds)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: now)
