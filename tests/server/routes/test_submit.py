import html
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.track import Track
from server.settings import Access, ServerSettings
from server.tables import SubmissionRow
from tests.server.boards import NORM, RELU
from tests.server.conftest import Serve
from tests.server.factories import API, submission_yaml, submit, submit_and_finish
from tests.server.statements import sent_statements

SUBMIT = "/submit"
ANONYMOUS = submission_yaml().replace("author: ada\n", "author: \n")


def form(page: str) -> dict[str, str]:
    """What the form of a page would send as it is."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    (text,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    author = re.search(r'<input id="author" name="author" value="([^"]*)"', page)
    fields |= {"author": author[1]} if author else {}
    return {**fields, "yaml": html.unescape(text)}


def send(
    browser: TestClient, do: str, headers: dict[str, str] | None = None, **fields: str
) -> Response:
    """The form as the server has it, with some fields filled in."""
    sent = {**form(browser.get(SUBMIT).text), "do": do, **fields}
    return browser.post(SUBMIT, data=sent, headers=headers, follow_redirects=False)


def stored(session: Session) -> list[tuple[str, str]]:
    rows = session.exec(select(SubmissionRow).order_by(SubmissionRow.author)).all()
    return [(row.author, row.yaml) for row in rows]


def test_everybody_submits_on_an_open_server(client: TestClient, session: Session) -> None:
    text = submission_yaml()
    response = send(client, "submit", yaml=text.replace("\n", "\r\n"))
    assert response.status_code == 303
    assert stored(session) == [("ada", text)]
    assert client.get(response.headers["Location"]).status_code == 200


def test_the_field_names_the_author_where_the_text_does_not(
    client: TestClient, session: Session
) -> None:
    assert send(client, "submit", yaml=ANONYMOUS, author=" ada ").status_code == 303
    assert stored(session) == [("ada", submission_yaml())]


def test_two_authors_are_refused_with_both_kept(client: TestClient, session: Session) -> None:
    response = send(client, "submit", yaml=submission_yaml(), author="bob")
    assert response.status_code == 422
    assert "Nothing was submitted: 1 problem" in response.text
    assert '"ada" is not allowed beside the author "bob"' in html.unescape(response.text)
    kept = form(response.text)
    assert (kept["yaml"], kept["author"]) == (submission_yaml(), "bob")
    assert stored(session) == []


def test_a_form_that_is_sent_twice_submits_once(client: TestClient, session: Session) -> None:
    sent = {**form(client.get(SUBMIT).text), "do": "submit", "yaml": submission_yaml()}
    places = {
        client.post(SUBMIT, data=sent, follow_redirects=False).headers["Location"] for _ in "ab"
    }
    assert len(places) == 1
    assert len(stored(session)) == 1


def test_checking_queues_nothing_and_says_what_would_come_of_it(
    client: TestClient, session: Session
) -> None:
    response = send(client, "check", yaml=submission_yaml(overrides=NORM))
    assert response.status_code == 200
    assert "Valid on debug" in response.text
    assert "model.attention.qk_norm" in response.text
    assert "Place 1 in the queue" in response.text
    assert stored(session) == []


def test_a_problem_names_field_value_and_what_is_allowed(client: TestClient) -> None:
    response = send(client, "check", yaml=submission_yaml(overrides={"model.dropout": 1.5}))
    (problem,) = re.findall(r"<li data-line.*?</li>", response.text, re.DOTALL)
    assert 'data-line="6"' in problem
    assert "<code>model.dropout</code>" in problem
    assert "1.5 is not allowed: must be less than 1" in problem
    assert "Allowed: 0 ≤ x &lt; 1" in problem


def test_an_outline_is_not_full_of_mistakes(client: TestClient) -> None:
    page = client.get(f"{SUBMIT}?track=gpu_24gb").text
    assert form(page)["yaml"].startswith("track: gpu_24gb\nname: \nauthor: \nhypothesis: \n")
    assert "To be written: name, author and hypothesis" in page
    assert "RTX 4090" in page
    assert "<li data-line" not in page
    assert 'href="/submit" data-needs-server aria-current="true"' in page
    # The same text, once somebody asks.
    assert "3 problems" in send(client, "check", yaml=form(page)["yaml"]).text


def test_every_tracks_outline_needs_nothing_but_the_authors_words(
    client: TestClient, tracks: dict[str, Track]
) -> None:
    words = {"name: ": "name: a", "author: ": "author: b", "hypothesis: ": "hypothesis: c"}
    for track in tracks:
        text = form(client.get(f"{SUBMIT}?track={track}").text)["yaml"]
        lines = [words.get(line, line) for line in text.splitlines()]
        answer = client.post(f"{API}/check", content="\n".join(lines)).json()
        assert (answer["is_valid"], answer["track"]) == (True, track)


def test_a_submission_is_a_start_without_its_author(client: TestClient) -> None:
    receipt = submit(client, "Theirs", NORM, author="bob")
    link = f'href="/submit?from={receipt.submission_id}"'
    assert link in client.get(f"/submissions/{receipt.submission_id}").text
    page = client.get(f"{SUBMIT}?from={receipt.submission_id}").text
    assert form(page)["yaml"] == submission_yaml("Theirs", "", NORM)
    assert "The same config is there already" in page
    assert f'<a href="/submissions/{receipt.submission_id}">Theirs</a> by bob' in page


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("track=debgu", 404, "tracks are debug"),
        ("track=", 200, ""),
        ("from=s_none", 404, "there is no submission"),
        ("from=s_none&track=debug", 422, "whose text names its track"),
    ],
)
def test_what_is_not_there_is_no_start(
    client: TestClient, query: str, status: int, reason: str
) -> None:
    response = client.get(f"{SUBMIT}?{query}", headers={"Accept": "text/html"})
    assert response.status_code == status
    assert reason.lower() in html.unescape(response.text).lower()


def test_what_is_written_is_handed_back_as_a_file(client: TestClient, session: Session) -> None:
    response = send(client, "download", yaml=ANONYMOUS, author="ada")
    assert response.text == submission_yaml()
    assert response.headers["Content-Type"] == "application/yaml; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="submission.yaml"'
    # What cannot be submitted can be kept all the same.
    assert send(client, "download", yaml="a: [", author="b").text == "a: ["
    assert send(client, "download", yaml=submission_yaml(), author="b").text == submission_yaml()
    assert stored(session) == []


@pytest.mark.parametrize("token", ["", "x", None])
@pytest.mark.parametrize("do", ["check", "submit", "download"])
def test_a_form_that_comes_from_no_page_here_is_refused(
    client: TestClient, session: Session, token: str | None, do: str
) -> None:
    sent = {"yaml": submission_yaml(), "do": do}
    sent |= {} if token is None else {"csrf_token": token}
    response = client.post(SUBMIT, data=sent)
    assert (response.status_code, response.json()["kind"]) == (403, "forged_request")
    assert stored(session) == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_cannot_have_an_open_server_written_to(
    client: TestClient, session: Session, headers: dict[str, str]
) -> None:
    assert send(client, "submit", headers, yaml=submission_yaml()).status_code == 403
    queued = submit(client)
    # This one takes no body, which any page of the web could send.
    cancel = f"{API}/submissions/{queued.submission_id}/cancel"
    assert client.post(cancel, headers=headers).status_code == 403
    own = {"Origin": "http://board.test", "Sec-Fetch-Site": "same-origin"}
    assert client.post(cancel, headers=own).status_code == 200
    assert send(client, "submit", own, yaml=submission_yaml()).status_code == 303


@pytest.fixture
def guarded(
    serve: Serve, tracks: dict[str, Track], settings: ServerSettings
) -> Iterator[TestClient]:
    """A server that asks for tokens, without sign-in."""
    with serve(tracks, settings.model_copy(update={"access": Access.TOKENS})) as client:
        yield client


def test_where_only_tokens_submit_the_page_checks_and_says_how(guarded: TestClient) -> None:
    page = guarded.get(SUBMIT)
    assert "takes submissions with an access token alone" in page.text
    assert "FIVE_DOLLAR_SERVER_URL=http://board.test runner submit submission.yaml" in page.text
    assert 'value="submit"' not in page.text
    assert "sign-in" not in page.text
    assert "Valid on debug" in send(guarded, "check", yaml=submission_yaml()).text
    assert send(guarded, "download", yaml=submission_yaml()).text == submission_yaml()
    refused = send(guarded, "submit", yaml=submission_yaml())
    assert (refused.status_code, refused.json()["kind"]) == (401, "token_needed")
    assert "runner submit" in refused.json()["message"]


def test_a_quota_that_is_used_up_keeps_the_text(app: FastAPI, client: TestClient) -> None:
    app.state.settings = app.state.settings.model_copy(update={"quota_gpu_minutes": 0.1})
    response = send(client, "submit", yaml=submission_yaml())
    assert response.status_code == 422
    assert "GPU-minutes" in response.text
    assert form(response.text)["yaml"] == submission_yaml()


def test_the_number_of_queries_does_not_grow_with_the_board(
    client: TestClient, engine: Engine
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "One", RELU, val_loss=2.25)
    with sent_statements(engine) as few:
        client.get(SUBMIT)
    for index in range(5):
        rate = {"optimizer.muon.learning_rate": 0.01 + index / 1000}
        submit_and_finish(client, f"Rate {index}", rate, val_loss=2.1)
    submit(client, "Waits", NORM)
    with sent_statements(engine) as many:
        client.get(SUBMIT)
    assert len(many) == len(few)
