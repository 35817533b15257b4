import pytest
from starlette.testclient import TestClient

from core.schema.track import Budget, Track
from server.track_contract import budget_sentences
from tests.server.boards import NORM
from tests.server.conftest import Serve
from tests.server.factories import API, data_identity, submit, submit_and_finish
from tests.server.routes.test_pages import HTML, text_of


def test_rules_are_there_in_full(client: TestClient) -> None:
    submit_and_finish(client, "Baseline")
    key = data_identity().comparability_key("debug", 1)
    html = client.get("/tracks/debug/rules").text
    text = text_of(html)
    for part in (
        "Seeds 1000, 1001, 1002 and so on",
        "Tasks Synthetic world",
        "Synthetic text, 4,000 documents, of which the last 10.00 % are held out",
        "model.dropout Probability that a channel is dropped",
        "0.0 0 ≤ x &lt; 1",
        "cpu $",
        "The track is at version 1, its first.",
    ):
        assert part in text, part
    assert f'href="/tracks/debug?key={key}"' in html
    fixed = html[html.index('id="fixed"') :]
    assert "/tracks/debug/settings/data.tokenizer" in fixed
    assert "/tracks/debug/settings/model.dropout" not in fixed
    assert "/tracks/debug/settings/data.source.dataset" not in html


@pytest.mark.parametrize("track", ["gpu_24gb", "five_dollar", "fifty_cent", "h100_3b"])
def test_every_track_has_rules(client: TestClient, track: str) -> None:
    response = client.get(f"/tracks/{track}/rules")
    assert response.status_code == 200
    assert "No results yet." in response.text


def test_open_and_fixed_settings_as_json(client: TestClient) -> None:
    body = client.get(f"{API}/tracks/debug/rules").json()
    opened = {one["path"]: one for one in body["open_settings"]}
    assert opened["model.dropout"]["value"] == 0.0
    assert opened.keys().isdisjoint(one["path"] for one in body["fixed_settings"])
    assert (body["rules"]["name"], body["keys"], body["moves"]) == ("debug", [], [])
    assert client.get("/tracks/nowhere/rules", headers=HTML).status_code == 404


def test_a_new_version_says_what_it_carried_over(
    serve: Serve, tracks: dict[str, Track], moved: dict[str, Track], settings: object
) -> None:
    with serve(tracks) as client:
        submit(client, "Norm", NORM)
        submit(client, "Dropout", {"model.dropout": 0.1})
    queueing = settings.model_copy(update={"queues_runs": True})  # type: ignore[attr-defined]
    with serve(moved, queueing) as client:
        # Version 2 has no dropout to choose.
        [move] = client.get(f"{API}/tracks/debug/rules").json()["moves"]
        assert (move["version"], move["num_carried"], move["num_invalid"]) == (2, 1, 1)
        text = text_of(client.get("/tracks/debug/rules").text)
        assert "1 earlier submission carried over, 1 not valid there." in text


def test_board_leads_to_the_rules(client: TestClient) -> None:
    assert 'href="/tracks/debug/rules"' in client.get("/tracks/debug").text


def test_every_bound_of_a_budget_is_a_sentence() -> None:
    budget = Budget(training_flops_ratio=1.1, steps=10_000, cost_usd=0.5, memory_gib=24)
    assert budget_sentences(budget) == (
        "at most 1.1 × the baseline's training FLOPs",
        "at most 10,000 optimizer steps",
        "at most $0.50 for compile and training time",
        "at most 24 GiB of device memory",
    )
    assert budget_sentences(Budget()) == ()
