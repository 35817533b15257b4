import html
import re

import pytest
from httpx2 import Response
from sqlmodel import Session, select
from starlette.testclient import TestClient

from server.tables import SubmissionRow
from tests.server.factories import API, submission_yaml, submit
from tests.server.sign_in.conftest import Visit

SUBMIT = "/submit"


@pytest.fixture
def ada(visit: Visit) -> TestClient:
    """A browser in which ada is signed in."""
    return visit("ada", 1)


def form(page: str) -> dict[str, str]:
    """What the form of a page would send as it is."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    # A browser leaves out the first line break.
    (text,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    return {**fields, "yaml": html.unescape(text)}


def send(browser: TestClient, fields: dict[str, str], do: str = "submit") -> Response:
    return browser.post(SUBMIT, data={"do": do, **fields}, follow_redirects=False)


def test_the_form_begins_with_who_is_signed_in_as_the_author(ada: TestClient) -> None:
    page = ada.get(SUBMIT)
    assert page.status_code == 200
    assert "author: ada\n" in form(page.text)["yaml"]
    assert 'href="/submit" data-needs-server aria-current="true"' in page.text
    assert 'href="/submit"' in ada.get("/").text


def test_a_submission_leads_to_its_page(ada: TestClient, session: Session) -> None:
    text = submission_yaml(author="ada")
    sent = {**form(ada.get(SUBMIT).text), "yaml": text.replace("\n", "\r\n")}
    response = send(ada, sent)
    (row,) = session.exec(select(SubmissionRow)).all()
    assert (response.status_code, response.headers["Location"]) == (303, f"/submissions/{row.id}")
    assert (row.author, row.yaml) == ("ada", text)


def test_a_form_that_is_sent_twice_submits_once(ada: TestClient, session: Session) -> None:
    sent = {**form(ada.get(SUBMIT).text), "yaml": submission_yaml(author="ada")}
    first, again = send(ada, sent), send(ada, sent)
    assert first.headers["Location"] == again.headers["Location"]
    other = {**sent, "yaml": submission_yaml("Other", author="ada")}
    assert send(ada, other).headers["Location"] != first.headers["Location"]
    anew = {**form(ada.get(SUBMIT).text), "yaml": sent["yaml"]}
    assert send(ada, anew).headers["Location"] != first.headers["Location"]
    assert len(session.exec(select(SubmissionRow)).all()) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (submission_yaml(author="bob"), '"bob" is not allowed beside the author "ada"'),
        (submission_yaml(author="ada", overrides={"model.dropoot": 0.1}), "model.dropout"),
        (submission_yaml(name="</textarea><script>", author="ada", track="x"), "track"),
        ("", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_listed_beside_what_was_written(
    ada: TestClient, session: Session, text: str, problem: str
) -> None:
    response = send(ada, {**form(ada.get(SUBMIT).text), "yaml": text})
    assert response.status_code == 422
    (alert,) = re.findall(r'<p id="answer-summary" role="alert">.*?</ul>', response.text, re.DOTALL)
    assert "Nothing was submitted" in alert
    assert problem in html.unescape(alert)
    assert form(response.text)["yaml"] == text
    assert "</textarea><script>" not in response.text
    assert session.exec(select(SubmissionRow)).all() == []


def test_whoever_is_signed_in_is_the_author_of_a_text_that_names_none(
    ada: TestClient, session: Session
) -> None:
    sent = {**form(ada.get(SUBMIT).text), "yaml": submission_yaml().replace("author: ada\n", "")}
    # The field is for those who are not signed in.
    assert send(ada, {**sent, "author": "bob"}).status_code == 303
    assert session.exec(select(SubmissionRow.author)).one() == "ada"


def test_a_copy_is_by_who_is_signed_in(ada: TestClient, administrator: TestClient) -> None:
    theirs = submit(administrator, author="bob").submission_id
    page = ada.get(f"{SUBMIT}?from={theirs}").text
    assert form(page)["yaml"] == submission_yaml(author="ada")
    assert f'<a href="/submissions/{theirs}">QK-norm</a> by bob' in page


def test_submitting_needs_a_session_and_its_token(
    client: TestClient, administrator: TestClient, ada: TestClient, session: Session
) -> None:
    sent = {**form(ada.get(SUBMIT).text), "yaml": submission_yaml(author="ada")}
    assert [send(browser, sent).status_code for browser in (client, administrator)] == [403, 403]
    assert send(ada, {**sent, "csrf_token": "x"}).status_code == 403
    own = {**sent, **form(client.get(SUBMIT).text), "yaml": sent["yaml"]}
    refused = client.post(SUBMIT, data={"do": "submit", **own}, headers={"Accept": "text/html"})
    assert refused.status_code == 403
    assert "You are not signed in, or no longer" in refused.text
    assert session.exec(select(SubmissionRow)).all() == []


def test_nobody_who_is_not_signed_in_is_kept_from_writing_and_checking(client: TestClient) -> None:
    page = client.get(SUBMIT)
    assert 'href="/sign-in?back=%2Fsubmit"' in page.text
    assert 'value="submit"' not in page.text
    assert 'id="author"' not in page.text
    sent = {**form(page.text), "yaml": submission_yaml()}
    checked = send(client, sent, "check")
    assert checked.status_code == 200
    assert "Valid on debug" in checked.text
    assert send(client, sent, "download").text == submission_yaml()


def test_the_check_compares_the_author_with_who_asks(client: TestClient, visit: Visit) -> None:
    bob = visit("bob", 2)
    token = form(bob.get(SUBMIT).text)["csrf_token"]
    headers = {"X-CSRF-Token": token}
    answer = bob.post(f"{API}/check", content=submission_yaml(), headers=headers).json()
    assert [problem["path"] for problem in answer["problems"]] == ["author"]
    assert "the request comes from 'bob'" in answer["problems"][0]["message"]
    assert client.post(f"{API}/check", content=submission_yaml()).json()["is_valid"] is True
    assert bob.post(f"{API}/check", content=submission_yaml()).status_code == 403
