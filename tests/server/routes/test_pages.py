import re

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from tests.server.factories import (
    claim_one,
    heartbeat,
    post_yaml,
    send_failure,
    send_log,
    submit,
    submit_and_finish,
)

RELU = {"model.feed_forward.activation": "squared_relu"}
HTML = {"Accept": "text/html"}


def text_of(html: str) -> str:
    """What a reader sees, roughly: no tags, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize("path", ["/", "/tracks/debug", "/tracks/gpu_24gb", "/compare", "/queue"])
def test_page_of_an_empty_server_is_shown(client: TestClient, path: str) -> None:
    response = client.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "data-renew-seconds" not in response.text or path == "/queue"


def test_front_page_leads_to_every_track_in_one_click(client: TestClient) -> None:
    html = client.get("/").text
    for track in ("debug", "gpu_24gb", "five_dollar", "fifty_cent", "h100_3b"):
        assert f'href="/tracks/{track}"' in html


def test_board_shows_rank_delta_loss_and_standard_error(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Better", RELU, 1.75)
    html = client.get("/tracks/debug").text
    text = text_of(html)
    assert "▼ −0.2500 (lower)" in text
    assert "1.7500" in text
    # acc_norm 0.5 of 100 questions: sqrt(0.25 / 99) = 5.03 points.
    assert "50.00 % ± 5.03" in text
    assert "activation silu → squared_relu" in text
    assert 'class="verdict better"' not in html


def test_a_form_of_filters_is_taken_with_the_fields_that_its_reader_left_empty(
    client: TestClient,
) -> None:
    submit_and_finish(client, "Better", RELU, 1.75)
    empty = "verdict=&author=&verified=&setting="
    for cost, wanted in (("", "activation silu → squared_relu"), ("0", "No row is like that.")):
        answer = client.get(f"/tracks/debug?q=better&{empty}&max_cost_usd={cost}&column=loss")
        assert answer.status_code == 200
        assert wanted in text_of(answer.text)


def test_reported_figures_stand_in_a_box_of_their_own(client: TestClient) -> None:
    html = client.get("/tracks/gpu_24gb").text
    box = html.index("Reported elsewhere, not measured here")
    assert html.index("4.0977") > box
    assert "Reported elsewhere" not in client.get("/tracks/debug").text


def test_several_keys_are_offered_and_one_is_current(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", validation="b")
    submit_and_finish(client, "Elsewhere", RELU, validation="e")
    html = client.get("/tracks/debug").text
    links = re.findall(r'href="(/tracks/debug\?key=[0-9a-f]{16})"( aria-current="true")?', html)
    assert [bool(current) for _, current in links] == [True, False]
    other = client.get(links[1][0]).text
    assert "Elsewhere" in other
    assert "no differences are shown" in other


def test_compare_form_works_without_script(client: TestClient) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit_and_finish(client, "Other", RELU).submission_id
    html = client.get("/tracks/debug").text
    assert '<form id="compare" class="compare-form" action="/compare" method="get">' in html
    offered = re.findall(r'type="checkbox" form="compare" name="(\w+)" value="(\w+)"', html)
    assert offered == [("id", a), ("id", b)]
    compared = text_of(client.get("/compare", params={"id": [a, b]}).text)
    assert "model.feed_forward.activation silu squared_relu" in compared


def test_failed_run_shows_class_message_advice_and_log(client: TestClient) -> None:
    failed = submit(client, "Too hot", RELU).submission_id
    offer = claim_one(client)
    send_log(client, offer, "step 1\nloss is nan\n")
    send_failure(client, offer, FailureKind.DIVERGED, "nan at step 2")
    for path in ("/tracks/debug", f"/submissions/{failed}"):
        text = text_of(client.get(path).text)
        assert "diverged" in text
        assert "nan at step 2" in text
        assert "lower the learning rates" in text
        assert "the submission&#39;s fault" in text
    html = client.get(f"/submissions/{failed}").text
    assert "loss is nan" in html
    assert '<a href="#log">' in html


def test_running_page_asks_to_be_renewed_and_shows_progress(client: TestClient) -> None:
    receipt = submit(client, "Going", RELU)
    heartbeat(client, claim_one(client), completed=30, total=250)
    for path in ("/", "/tracks/debug", f"/submissions/{receipt.submission_id}", "/queue"):
        assert 'data-renew-seconds="3"' in client.get(path).text, path
    html = client.get(f"/submissions/{receipt.submission_id}").text
    assert '<progress max="250" value="30"' in html
    assert "training, 30 of 250" in text_of(html)


def test_finished_page_is_not_renewed(client: TestClient) -> None:
    done = submit_and_finish(client, "Done", RELU).submission_id
    assert "data-renew-seconds" not in client.get(f"/submissions/{done}").text


@pytest.mark.parametrize("field", ["name", "hypothesis"])
def test_markup_of_strangers_is_escaped(client: TestClient, field: str) -> None:
    evil = "<script>alert(1)</script>"
    values = {"name": "Plain", "hypothesis": "Plain."} | {field: evil}
    text = f"track: debug\nauthor: mallory\nname: '{values['name']}'\n"
    text += f"hypothesis: '{values['hypothesis']}'\n"
    submission = post_yaml(client, text).json()["submission_id"]
    offer = claim_one(client, "<img src=x onerror=alert(1)>", device="<b>cpu</b>")
    send_log(client, offer, f"{evil}\n")
    pages = ["/", "/tracks/debug", f"/submissions/{submission}", "/queue"]
    pages.append(f"/compare?a={submission}&b={submission}")
    running = [client.get(page).text for page in pages]
    send_failure(client, offer, FailureKind.DIVERGED, evil)
    for html in (*running, *(client.get(page).text for page in pages)):
        assert "<script>alert" not in html
        assert "<img" not in html
        assert "<b>cpu" not in html
    assert "&lt;script&gt;alert(1)" in client.get(f"/submissions/{submission}").text


def test_ids_in_the_address_are_escaped(client: TestClient) -> None:
    html = client.get("/compare", params={"a": '"><script>x</script>'}).text
    assert "<script>x" not in html


def test_what_does_not_exist_is_a_page_with_status_404(client: TestClient) -> None:
    for path in ("/tracks/nowhere", "/submissions/s_nothing", "/compare?a=s_1&b=s_2", "/nothing"):
        response = client.get(path, headers=HTML)
        assert response.status_code == 404, path
        assert "This page does not exist" in response.text
        assert 'href="/"' in response.text


@pytest.mark.parametrize("page", ["/", "/tracks/debug", "/queue"])
def test_number_of_queries_of_a_page_does_not_grow_with_rows(
    client: TestClient, engine: Engine, page: str
) -> None:
    def queries() -> int:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        assert client.get(page).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    submit_and_finish(client, "Baseline")
    submit(client, "Waits", RELU)
    queries()
    # The order of the board is known from now on.
    few = queries()
    claim_one(client)
    for index in range(4):
        submit(client, f"More {index}", {"model.dropout": 0.1 + index / 10})
    claim_one(client, "second")
    assert queries() == few


def test_number_of_queries_of_a_submission_does_not_grow_with_its_seeds(
    client: TestClient, engine: Engine
) -> None:
    submission = submit_and_finish(client, "Seeds", RELU).submission_id
    page = f"/submissions/{submission}"
    counts = []
    for _ in range(2):
        statements: list[str] = []

        def note(*arguments: object, kept: list[str] = statements) -> None:
            kept.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        assert client.get(page).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len(statements))
        for _ in range(3):
            submit_and_finish(client, "Seeds", RELU)
    assert counts[0] == counts[1]


def test_speed_is_shown_as_a_ratio_to_the_baseline_on_the_same_worker(client: TestClient) -> None:
    # 512,000 tokens in 32 s are 16,000 a second, 1.25 times 12,800.
    receipt = submit_and_finish(client, "Quick", RELU, train_seconds=32.0, baseline_speed=12_800.0)
    assert "1.25 × 16,000 cpu" in text_of(client.get("/tracks/debug").text)
    page = text_of(client.get(f"/submissions/{receipt.submission_id}").text)
    assert "Tokens/s 1.25 × 16,000" in page
    assert "Baseline here 12,800 tokens/s on 1 device, 2026-11-22 12:00 UTC" in page


def test_speed_without_an_anchor_is_tokens_per_second_alone(client: TestClient) -> None:
    receipt = submit_and_finish(client, "Quick", RELU, train_seconds=32.0)
    board = text_of(client.get("/tracks/debug").text)
    assert " 16,000 cpu" in board
    assert "× 16,000" not in board
    page = text_of(client.get(f"/submissions/{receipt.submission_id}").text)
    assert "Baseline here not measured" in page
