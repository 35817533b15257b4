import re

import pytest
from fastapi import FastAPI
from httpx2 import Response
from itsdangerous import TimestampSigner
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.access import Scope, TokenRequest
from server.access.tokens import issue
from server.database import write_session
from server.sign_in.notice import LIFE_SECONDS
from server.tables import Run, RunPurpose
from server.verdict.tables import Withdrawal
from tests.server.factories import claim_one, finish, submit
from tests.server.sign_in.conftest import Visit, form_token

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def ada(visit: Visit) -> TestClient:
    """A browser in which ada is signed in."""
    return visit("ada", 1)


@pytest.fixture
def page(ada: TestClient, administrator: TestClient) -> str:
    """The page of a submission of ada's."""
    return f"/submissions/{submit(administrator, author='ada').submission_id}"


@pytest.fixture
def measured(app: FastAPI, engine: Engine, page: str) -> str:
    """The same page, when its run has a result."""
    with write_session(engine) as session:
        made = issue(session, TokenRequest(name="bench", scope=Scope.WORK, days=1))
    worker = TestClient(app, headers={"Authorization": f"Bearer {made.token}"})
    finish(worker, claim_one(worker), 2.0)
    return page


def send(browser: TestClient, page: str, act: str, **fields: str) -> Response:
    """Send a form of a page; the page that it leads to."""
    sent = {"csrf_token": form_token(browser, page), **fields}
    response = browser.post(f"{page}/{act}", data=sent, follow_redirects=False)
    assert response.status_code == 303, response.text
    assert response.headers["Location"].startswith(f"{page}?notice=")
    return browser.get(response.headers["Location"])


def said(response: Response) -> tuple[str, str]:
    """The role and text of the notice on a page; empty where there is none."""
    found = re.search(r'<p class="notice[^"]*" role="(\w+)">(.*?)</p>', response.text)
    return (found[1], found[2]) if found else ("", "")


def test_forms_are_shown_to_who_may_send_them(
    client: TestClient, page: str, visit: Visit, ada: TestClient
) -> None:
    bob, author = visit("bob", 2).get(page).text, ada.get(page).text
    assert "<form" not in client.get(page).text
    assert f'action="{page}/rerun"' in bob
    assert f'action="{page}/withdraw"' not in bob
    assert f'action="{page}/withdraw"' in author
    for html, count in ((bob, 2), (author, 3)):
        forms = re.findall(r'<form [^>]*method="post".*?</form>', html, re.DOTALL)
        assert len(forms) == count
        assert all('name="csrf_token"' in form for form in forms)


def test_anyone_who_is_signed_in_may_ask_for_a_rerun(
    measured: str, visit: Visit, session: Session
) -> None:
    bob = visit("bob", 2)
    # One run is measured; the next verdict is taken at three.
    response = send(bob, measured, "rerun")
    assert said(response) == ("status", "2 runs queued; the next verdict is taken at 3.")
    asked = session.exec(select(Run).where(Run.purpose == RunPurpose.RERUN)).all()
    assert [run.requested_by for run in asked] == ["bob", "bob"]


def test_a_rerun_that_is_refused_says_so_on_the_page(page: str, ada: TestClient) -> None:
    role, text = said(send(ada, page, "rerun"))
    assert role == "alert"
    assert text.startswith("The runs that s_")
    assert text.endswith("needs for its next verdict are queued.")


def test_an_author_withdraws_with_a_reason_that_everybody_reads(
    client: TestClient, page: str, ada: TestClient
) -> None:
    response = send(ada, page, "withdraw", reason=f" Wrong\r\nseed {EVIL} ")
    role, text = said(response)
    assert (role, text[:10]) == ("status", "Withdrawn;")
    assert f'action="{page}/withdraw"' not in response.text
    shown = client.get(page).text
    assert "Wrong\nseed &lt;script&gt;" in shown
    assert "Withdrawn by ada" in shown
    assert EVIL not in shown


@pytest.mark.parametrize("reason", ["", "  \r\n ", "x" * 501, "a\x07", "\u202e"])
def test_a_withdrawal_without_a_proper_reason_is_refused(
    page: str, ada: TestClient, session: Session, reason: str
) -> None:
    role, text = said(send(ada, page, "withdraw", reason=reason))
    assert role == "alert"
    assert text.startswith("A withdrawal needs a reason of 1 to 500 characters")
    assert session.exec(select(Withdrawal)).all() == []


def test_nobody_withdraws_for_another(page: str, visit: Visit, session: Session) -> None:
    role, text = said(send(visit("bob", 2), page, "withdraw", reason="Mine", author="ada"))
    assert role == "alert"
    assert "&#39;bob&#39; is not the author" in text
    assert session.exec(select(Withdrawal)).all() == []


@pytest.mark.parametrize("act", ["rerun", "withdraw"])
def test_forms_need_a_session_and_its_token(
    client: TestClient,
    administrator: TestClient,
    page: str,
    visit: Visit,
    ada: TestClient,
    act: str,
) -> None:
    fields = {"reason": "Wrong", "csrf_token": form_token(ada, page)}
    for other in (client, administrator, visit("bob", 2)):
        assert other.post(f"{page}/{act}", data=fields).status_code == 403
    assert ada.post(f"{page}/{act}", data={"reason": "Wrong"}).status_code == 403
    expired = client.post(f"{page}/{act}", data=fields, headers={"Accept": "text/html"})
    assert "You are not signed in, or no longer" in expired.text


def test_a_form_for_a_submission_that_is_not_there_is_an_error(ada: TestClient) -> None:
    sent = {"csrf_token": form_token(ada)}
    response = ada.post("/submissions/s_none/rerun", data=sent, follow_redirects=False)
    assert response.status_code == 404


def test_a_notice_is_shown_to_whose_form_it_was_and_not_for_long(
    client: TestClient,
    page: str,
    ada: TestClient,
    visit: Visit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = send(ada, page, "rerun")
    address = str(shown.url)
    for other in (client, visit("bob", 2)):
        assert said(other.get(address)) == ("", "")
    assert said(ada.get(f"{page}?notice=Send+money")) == ("", "")
    assert said(ada.get(address)) == said(shown)
    later = TimestampSigner("x").get_timestamp() + LIFE_SECONDS + 2
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: later)
    assert said(ada.get(address)) == ("", "")
