from starlette.testclient import TestClient

from tests.server.factories import API, submit, submit_and_finish

RELU = {"model.feed_forward.activation": "squared_relu"}


def test_leaderboard_answers_with_ranked_rows(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Better", RELU, val_loss=1.75)
    body = client.get(f"{API}/tracks/debug/leaderboard").json()
    assert body["baseline"]["name"] == "Baseline"
    assert [(row["rank"], row["name"], row["delta"]) for row in body["rows"]] == [
        (1, "Better", -0.25)
    ]


def test_json_and_page_show_the_same_board(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Better", RELU, val_loss=1.7512)
    loss = client.get(f"{API}/tracks/debug/leaderboard").json()["rows"][0]["result"]["val_loss"]
    assert f"{loss:.4f}" in client.get("/tracks/debug").text


def test_unknown_track_key_and_submission_are_404_with_a_reason(client: TestClient) -> None:
    submit_and_finish(client, "Baseline")
    known = submit(client, "B", RELU).submission_id
    for path, word in [
        ("/tracks/nowhere/leaderboard", "debug"),
        ("/tracks/debug/leaderboard?key=feed", "its keys are"),
        (f"/compare?a={known}&b=s_nothing", "s_nothing"),
        ("/submissions/s_nothing/curves", "s_nothing"),
    ]:
        response = client.get(API + path)
        assert response.status_code == 404, path
        assert response.json()["kind"] == "not_found"
        assert word in response.json()["message"]


def test_comparison_needs_both_sides(client: TestClient) -> None:
    response = client.get(f"{API}/compare?a=s_one")
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "id"
    assert "names 1 of the 2 to 6" in response.json()["message"]


def test_seven_are_too_many_for_a_comparison(client: TestClient) -> None:
    address = "/compare?" + "&".join(f"id=s_{number}" for number in range(7))
    response = client.get(f"{API}{address}")
    assert response.status_code == 422
    assert "names 7 submissions; at most 6" in response.json()["message"]
    page = client.get(address, headers={"Accept": "text/html"})
    assert page.status_code == 422
    assert "names 7 submissions; at most 6" in page.text


def test_comparison_and_curves_answer_for_known_submissions(client: TestClient) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit_and_finish(client, "Better", RELU).submission_id
    comparison = client.get(f"{API}/compare?a={a}&b={b}").json()
    assert [row["path"] for row in comparison["settings"]] == ["model.feed_forward.activation"]
    assert client.get(f"{API}/compare", params={"id": [a, b]}).json() == comparison
    assert client.get(f"{API}/compare", params={"a": a, "id": b}).json() == comparison
    curves = client.get(f"{API}/submissions/{b}/curves").json()
    assert {series["metric"] for series in curves["runs"][0]["series"]} >= {
        "train_loss",
        "val_loss",
    }
