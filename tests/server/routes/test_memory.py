import json

import pytest
from starlette.testclient import TestClient

from core.schema.overrides import resolve
from core.schema.track import Track
from tests.server.boards import NORM, RELU
from tests.server.factories import API, submit_and_finish

TRACK = f"{API}/tracks/debug"


@pytest.fixture
def config(tracks: dict[str, Track]) -> str:
    return resolve(tracks["debug"].base, NORM).model_dump_json()


def test_settings_and_one_setting_answer_with_what_was_tried(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Worse", RELU, val_loss=2.25)
    submit_and_finish(client, "Better", NORM, val_loss=1.75)
    body = client.get(f"{TRACK}/settings").json()
    changed = {one["path"]: one for one in body["settings"] if one["num_experiments"]}
    assert list(changed) == ["model.attention.qk_norm", "model.feed_forward.activation"]
    path = "model.feed_forward.activation"
    one = client.get(f"{TRACK}/settings/{path}?key={body['key']}").json()
    assert one.items() >= changed[path].items()
    [value] = one["values"]
    assert (value["value"], value["experiments"][0]["delta"]) == ("squared_relu", 0.25)


def test_unknown_track_key_and_setting_are_404_with_a_reason(
    client: TestClient, config: str
) -> None:
    for path, word in [
        ("/tracks/nowhere/settings", "debug"),
        ("/tracks/debug/settings?key=feed", "none yet"),
        ("/tracks/debug/settings/model.dropot", "model.dropout"),
        ("/tracks/debug/settings/model.dropout?page=2", "past the end"),
    ]:
        response = client.get(API + path)
        assert response.status_code == 404, path
        assert word in response.json()["message"]
    response = client.post(f"{API}/tracks/nowhere/nearest", content=config)
    assert response.status_code == 404
    assert "debug" in response.json()["message"]


def test_nearest_answers_for_a_whole_config(client: TestClient, config: str) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    same = submit_and_finish(client, "Same", NORM, val_loss=1.75).submission_id
    submit_and_finish(client, "Other", RELU, val_loss=2.25)
    body = client.post(f"{TRACK}/nearest", content=config).json()
    assert (body["equal"]["submission_id"], body["equal"]["delta"]) == (same, -0.25)
    assert [(near["name"], near["distance"]) for near in body["nearest"]] == [("Other", 2.0)]


def test_a_config_of_a_submission_can_be_asked_about_as_it_is(client: TestClient) -> None:
    submission = submit_and_finish(client, "Mine", NORM).submission_id
    config = client.get(f"{API}/submissions/{submission}").json()["config"]
    body = client.post(f"{TRACK}/nearest", json=config).json()
    assert body["equal"]["submission_id"] == submission


def test_what_is_no_config_is_refused_with_the_path_of_the_problem(
    client: TestClient, config: str
) -> None:
    wrong = json.loads(config)
    wrong["model"]["dropout"] = "0.1"
    wrong["training"]["batch_siez"] = 3
    response = client.post(f"{TRACK}/nearest", json=wrong)
    assert response.status_code == 422
    problems = {problem["path"]: problem for problem in response.json()["problems"]}
    assert problems.keys() == {"model.dropout", "training.batch_siez"}
    assert problems["training.batch_siez"]["nearest"] == "batch_size"
    for content in (b"", b"{", b"[]", b"\xff", config.encode()[:-1] + b', "seed": 1}'):
        assert client.post(f"{TRACK}/nearest", content=content).status_code == 422, content


def test_a_config_larger_than_a_report_is_refused(client: TestClient, config: str) -> None:
    response = client.post(f"{TRACK}/nearest", content=config + " " * 1024**2)
    assert response.status_code == 413
