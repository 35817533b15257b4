import re

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from server.templating import environment
from tests.server.boards import NORM, RELU, measure_baseline
from tests.server.factories import data_identity, submit_and_finish
from tests.server.routes.test_pages import HTML, text_of

DROPOUT = "model.dropout"
SETTINGS = "/tracks/debug/settings"


def test_index_has_every_group_in_the_order_of_the_schema(client: TestClient) -> None:
    html = client.get(SETTINGS).text
    groups = re.findall(r'<h2 id="group-\d+"><code>([\w.]+)</code>', html)
    assert groups[:2] == ["model", "model.attention"]
    assert "training" in groups
    assert "Nothing was measured on this track yet." in text_of(html)
    assert f'href="{SETTINGS}/{DROPOUT}"' in html


def test_index_shows_how_many_changed_a_setting_and_the_best_alone(client: TestClient) -> None:
    measure_baseline(client)
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 2.25)
    submit_and_finish(client, "Both", {DROPOUT: 0.2, **NORM}, 2.5)
    html = client.get(SETTINGS).text
    row = text_of(html[html.index(f"{SETTINGS}/{DROPOUT}") :].split("</tr>")[0])
    assert re.search(r"0\.0 2 0\.1 ▲ \+0\.2500 \(higher\) .* worse", row)


def test_page_of_a_setting_says_what_it_is_and_what_was_tried(client: TestClient) -> None:
    measure_baseline(client)
    alone = submit_and_finish(client, "Little", {DROPOUT: 0.1}, 2.25).submission_id
    submit_and_finish(client, "Both", {DROPOUT: 0.2, **NORM}, 1.5)
    html = client.get(f"{SETTINGS}/{DROPOUT}").text
    text = text_of(html)
    for part in (
        "Type number Allowed 0 ≤ x &lt; 1 Default 0.1 Baseline of this track 0.0",
        "Best known value: the baseline&#39;s: no other was better when nothing else changes.",
        "0.1 Little ada yes ▲ +0.2500 (higher) ",
        "attention.qk_norm false → true",
    ):
        assert part in text, part
    assert f'href="/submissions/{alone}"' in html
    assert f'href="{SETTINGS}/model.attention.qk_norm"' in html
    assert html.count('<circle class="point"') == 1
    assert html.count('<circle class="point among"') == 1


def test_a_better_value_is_named(client: TestClient) -> None:
    measure_baseline(client)
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 1.5)
    text = text_of(client.get(f"{SETTINGS}/{DROPOUT}").text)
    assert "Best known value: 0.1, better than the baseline&#39;s when nothing else" in text


def test_without_a_baseline_there_are_no_effects(client: TestClient) -> None:
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 1.5)
    html = client.get(f"{SETTINGS}/{DROPOUT}").text
    assert "so no effects are known" in html
    assert "<svg" not in html


def test_what_nobody_tried_and_what_is_fixed_says_so(client: TestClient) -> None:
    assert "Nobody has changed it on this track yet." in client.get(f"{SETTINGS}/{DROPOUT}").text
    fixed = client.get(f"{SETTINGS}/data.tokenizer").text
    assert "fixed by the track" in fixed
    assert "Nobody has changed it on this track." in fixed


def test_links_stay_under_the_key_and_lead_to_the_next_page(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.memory.settings.PER_PAGE", 1)
    submit_and_finish(client, "One", {DROPOUT: 0.1})
    submit_and_finish(client, "Two", {DROPOUT: 0.2})
    key = data_identity().comparability_key("debug", 1)
    page = f"{SETTINGS}/{DROPOUT}?key={key}"
    html = client.get(page).text
    escaped = page.replace("&", "&amp;")
    assert f'href="{escaped}&amp;page=2" rel="next"' in html
    assert f'href="/api/v1{escaped}"' in html
    assert f'href="{SETTINGS}?key={key}"' in html
    last = client.get(f"{page}&page=2").text
    assert 'rel="prev"' in last
    assert 'rel="next"' not in last
    assert f'href="/api/v1{escaped}&amp;page=2"' in last
    for number in ("0", "x", "100001"):
        response = client.get(f"{page}&page={number}", headers=HTML)
        assert response.status_code == 422, number
    assert client.get(f"{page}&page=3", headers=HTML).status_code == 404


@pytest.mark.parametrize("page", [SETTINGS, f"{SETTINGS}/{DROPOUT}"])
def test_number_of_queries_does_not_grow_with_experiments(
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
    submit_and_finish(client, "First", {DROPOUT: 0.05})
    few = queries()
    for index in range(4):
        submit_and_finish(client, f"More {index}", {DROPOUT: 0.1 + index / 10, **RELU})
    assert queries() == few


def test_diffs_lead_to_the_pages_of_their_settings(client: TestClient) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit_and_finish(client, "Norm", NORM).submission_id
    link = f'href="{SETTINGS}/model.attention.qk_norm"'
    for page in ("/tracks/debug", f"/submissions/{b}", f"/compare?a={a}&b={b}"):
        assert link in client.get(page).text, page


def test_backquotes_become_code() -> None:
    macro = environment().get_template("_described.html").module.described  # type: ignore[attr-defined]
    assert macro("`a` or <b> `c`") == "<code>a</code> or &lt;b&gt; <code>c</code>"
