import re

from starlette.testclient import TestClient

from tests.server.boards import NORM, measure_baseline
from tests.server.factories import API, submit_and_finish
from tests.server.routes.test_pages import HTML, text_of


def test_list_of_an_empty_server_says_so(client: TestClient) -> None:
    assert "Nobody has submitted anything yet." in client.get("/authors").text


def test_list_and_page_lead_to_each_other_and_to_json(client: TestClient) -> None:
    measure_baseline(client)
    submission = submit_and_finish(client, "Gain", NORM, 1.5).submission_id
    html = client.get("/authors?sort=name").text
    assert re.search(r'aria-sort="ascending"><a href="/authors\?sort=name"', html)
    assert 'href="/authors/ada"' in html
    assert 'href="/api/v1/authors?sort=name"' in html
    page = client.get("/authors/ada").text
    for part in ("Best on each track", "Records", "1, 1 standing", "better"):
        assert part in text_of(page), part
    assert page.count(f'href="/submissions/{submission}"') == 3
    body = client.get(f"{API}/authors/ada").json()
    assert (body["totals"]["num_better"], body["ranks"][0]["rank"]) == (1, 1)
    assert client.get(f"{API}/authors").json()["authors"][0]["name"] == "ada"


def test_wrong_order_and_unknown_author_are_refused(client: TestClient) -> None:
    assert client.get("/authors?sort=luck", headers=HTML).status_code == 422
    assert client.get("/authors/nobody", headers=HTML).status_code == 404
    assert "'nobody'" in client.get(f"{API}/authors/nobody").json()["message"]


def test_rows_lead_to_their_authors_but_not_to_the_project(client: TestClient) -> None:
    submission = submit_and_finish(client, "Gain", NORM, 1.5).submission_id
    for page in ("/tracks/debug", f"/submissions/{submission}"):
        html = client.get(page).text
        assert 'href="/authors/ada"' in html, page
        assert "/authors/project" not in html, page
