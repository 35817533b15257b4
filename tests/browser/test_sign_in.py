"""Forms in a real browser: what it says of where a request comes from, with and without JavaScript."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import Response
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from core.schema.access import Scope, TokenRequest
from server.access.tokens import issue
from server.database import create_engine, write_session
from server.sign_in.setup import SESSION_SECONDS
from server.sign_in.signed_cookie import SignedCookie
from tests.browser.conftest import serving
from tests.server import factories

pytestmark = pytest.mark.browser

SESSION_KEY = "the-session-key-of-thirty-two-characters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sign-in")


@pytest.fixture(scope="module")
def server_url(folder: Path) -> Iterator[str]:
    """A server on which people sign in."""
    settings = {
        "ACCESS": "tokens",
        "GITHUB_CLIENT_ID": "client",
        "GITHUB_CLIENT_SECRET": "secret",
        "SESSION_KEY": SESSION_KEY,
    }
    with serving(folder, **settings) as url:
        yield url


@pytest.fixture
def submission(server_url: str, folder: Path) -> str:
    """The path of a submission of ada's."""
    engine = create_engine(f"sqlite:///{folder / 'board.sqlite'}")
    with write_session(engine) as session:
        made = issue(session, TokenRequest(name="root", scope=Scope.ADMIN, days=1))
    engine.dispose()
    headers = {"Authorization": f"Bearer {made.token}"}
    with httpx.Client(base_url=server_url, headers=headers) as board:
        return f"/submissions/{factories.submit(board, author='ada').submission_id}"  # type: ignore[arg-type]


def sign_in(context: BrowserContext, server_url: str) -> None:
    """Give a browser the session's cookie, as the way back from GitHub does."""
    answer = Response()
    SignedCookie("session", SESSION_KEY, SESSION_SECONDS, over_https=False).write(answer, "ada")
    found = re.match(r"session=([^;]+)", answer.headers["set-cookie"])
    assert found
    context.add_cookies(
        [
            {
                "name": "session",
                "value": found[1],
                "url": server_url,
                "httpOnly": True,
                "sameSite": "Lax",
            }
        ]
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_the_header_shows_who_is_signed_in_at_every_width(
    context: BrowserContext, page: Page, server_url: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/queue")
    expect(page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()
    sign_in(context, server_url)
    page.goto("/queue")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()
    assert context.cookies() == []


def test_an_author_submits_reruns_and_withdraws_without_javascript(
    browser: Browser, server_url: str, submission: str
) -> None:
    context = browser.new_context(base_url=server_url, java_script_enabled=False)
    sign_in(context, server_url)
    page = context.new_page()
    page.goto("/submit")
    page.get_by_label("YAML").fill(factories.submission_yaml("By form", author="ada"))
    page.get_by_role("button", name="Submit as ada").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("By form")
    page.get_by_role("button", name="Ask for a re-run").click()
    expect(page.get_by_role("alert")).to_contain_text("needs for its next verdict are queued")
    page.goto(submission)
    page.get_by_text("Withdraw this submission").click()
    page.get_by_label("Reason").fill("Wrong\nseed")
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Withdrawn; it stays here")
    expect(page.locator(".page-head .notice")).to_contain_text("Withdrawn by ada")
    context.close()


def test_what_is_being_written_outlives_the_renewal_of_the_page(
    context: BrowserContext, page: Page, server_url: str, submission: str
) -> None:
    sign_in(context, server_url)
    page.goto(submission)
    page.get_by_text("Withdraw this submission").click()
    page.get_by_label("Reason").fill("Half a sent")
    with page.expect_response(lambda response: response.url.endswith(submission)):
        pass
    page.wait_for_timeout(200)
    expect(page.get_by_label("Reason")).to_have_value("Half a sent")


def test_a_form_of_another_site_does_nothing(
    browser: Browser, server_url: str, submission: str
) -> None:
    context = browser.new_context()
    sign_in(context, server_url)
    page = context.new_page()

    def serve_trap(route: Route) -> None:
        action = f"{server_url}{submission}/withdraw"
        fields = '<input name="reason" value="Fooled"><button>Win</button>'
        body = f'<form method="post" action="{action}">{fields}</form>'
        route.fulfill(body=body, content_type="text/html")

    page.route("http://evil.test/", serve_trap)
    page.goto("http://evil.test/")
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.get_by_role("button", name="Win").click()
    assert answer.value.status == 403
    page.goto(f"{server_url}{submission}")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.locator(".page-head .notice")).to_have_count(0)
    context.close()
