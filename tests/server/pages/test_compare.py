import re

import pytest
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.testclient import TestClient

from core.tracks import load_tracks
from server.pages.compare import SettingCell, compare_page
from tests.server.factories import run_result, submit, submit_and_finish
from tests.server.statements import sent_statements

RATES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)


def rated(client: TestClient, count: int) -> list[str]:
    """Finished submissions that differ in the learning rate."""
    return [
        submit_and_finish(
            client, f"Rate {rate}", {"optimizer.muon.learning_rate": rate}, 2.0 - rate
        ).submission_id
        for rate in RATES[:count]
    ]


@pytest.mark.parametrize("ids", [(), ("s_one",)])
def test_missing_sides_are_asked_for(session: Session, ids: tuple[str, ...]) -> None:
    page = compare_page(session, load_tracks(), ids)
    assert page.comparison is None
    assert page.asked == ids


def test_ids_of_an_unfinished_choice_stand_in_the_form(client: TestClient) -> None:
    html = client.get("/compare?id=s_one&id=&id=%20").text
    assert re.findall(r'name="id" value="(\w*)"', html) == ["s_one", "", "", "", "", ""]


def test_all_sides_bring_their_curves(client: TestClient, session: Session) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit(client, "Other", {"model.dropout": 0.1}).submission_id
    page = compare_page(session, load_tracks(), (a, b))
    assert page.curves_urls == f"/api/v1/submissions/{a}/curves /api/v1/submissions/{b}/curves"
    assert page.title == "Baseline and Other"
    assert page.is_live


def test_a_withdrawn_side_says_so(client: TestClient) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit(client, "Other", {"model.dropout": 0.1}).submission_id
    body = {"author": "ada", "reason": "A typing error."}
    client.post(f"/api/v1/submissions/{b}/withdraw", json=body)
    html = client.get("/compare", params={"a": a, "b": b}).text
    assert html.count("Withdrawn by ada: A typing error.") == 1


def test_links_swap_with_the_first_remove_and_share(client: TestClient, session: Session) -> None:
    a, b, c = rated(client, 3)
    page = compare_page(session, load_tracks(), (a, b, c))
    assert [side.first_url for side in page.sides] == [
        "",
        f"/compare?id={b}&id={a}&id={c}",
        f"/compare?id={c}&id={b}&id={a}",
    ]
    assert page.sides[0].removed_url == f"/compare?id={b}&id={c}"
    assert page.sides[2].removed_url == f"/compare?id={a}&id={b}"
    assert page.url == f"/compare?id={a}&id={b}&id={c}"
    assert page.title == "Rate 0.01 and 2 others"
    pair = compare_page(session, load_tracks(), (a, b))
    assert [side.removed_url for side in pair.sides] == ["", ""]


def test_each_value_is_marked_where_it_is_not_the_firsts(
    client: TestClient, session: Session
) -> None:
    a, b, _ = rated(client, 3)
    (row,) = compare_page(session, load_tracks(), (b, a, b)).settings
    assert row.path == "optimizer.muon.learning_rate"
    assert row.cells == (
        SettingCell(text="0.02", is_absent=False, differs=False),
        SettingCell(text="0.01", is_absent=False, differs=True),
        SettingCell(text="0.02", is_absent=False, differs=False),
    )


def test_six_show_verdicts_figures_and_no_room_for_more(client: TestClient) -> None:
    ids = rated(client, 6)
    # Noise, without which nothing is judged.
    submit_and_finish(client, "Again", {"optimizer.muon.learning_rate": 0.01}, 1.992)
    html = client.get("/compare", params={"id": ids}).text
    assert html.count('<span class="verdict ') == 5
    assert html.count('<svg class="interval"') == 5
    assert "Add an id" not in html
    assert re.search(r"<th[^>]*>Validation loss</th>\s*<td[^>]*>1\.9910</td>", html)


def test_old_results_say_that_answers_were_not_kept(client: TestClient) -> None:
    assert run_result().tasks[0].right == ""
    html = client.get("/compare", params={"id": rated(client, 2)}).text
    assert "results from before this was kept have their scores alone" in html


def test_six_sides_take_as_many_statements_as_two(client: TestClient, engine: Engine) -> None:
    ids = rated(client, 6)
    # The first request reads what all pages of a board have in common.
    client.get("/compare", params={"id": ids})
    counts = []
    for compared in (ids[:2], ids):
        with sent_statements(engine) as statements:
            assert client.get("/compare", params={"id": compared}).status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 7
