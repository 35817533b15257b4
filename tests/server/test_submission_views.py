import pytest
from starlette.testclient import TestClient

from tests.server.factories import API, submit, submit_and_finish

RATE = "optimizer.muon.learning_rate"


def test_the_list_has_the_newest_first_in_pages(client: TestClient) -> None:
    ids = [submit(client, f"n{n}", {RATE: n / 100}).submission_id for n in (2, 3, 4)]
    page = client.get(f"{API}/submissions", params={"limit": 2}).json()
    assert page["total"] == 3
    assert [item["submission_id"] for item in page["submissions"]] == [ids[2], ids[1]]
    rest = client.get(f"{API}/submissions", params={"limit": 2, "offset": 2}).json()
    assert [item["submission_id"] for item in rest["submissions"]] == [ids[0]]


def test_the_list_can_be_of_one_track(client: TestClient) -> None:
    submit(client)
    gpu = submit(client, track="gpu_24gb")
    page = client.get(f"{API}/submissions", params={"track": "gpu_24gb"}).json()
    assert [item["submission_id"] for item in page["submissions"]] == [gpu.submission_id]
    assert page["total"] == 1


def test_an_item_of_the_list_shows_how_its_run_went(client: TestClient) -> None:
    submit_and_finish(client, val_loss=2.25)
    (item,) = client.get(f"{API}/submissions").json()["submissions"]
    assert (item["state"], item["val_loss"], item["cost_usd"]) == ("succeeded", 2.25, 0.0004)


def test_the_detail_shows_changes_config_and_all_runs(client: TestClient) -> None:
    first = submit_and_finish(client, "First", {RATE: 0.02})
    second = submit(client, "Second", {RATE: 0.02})
    detail = client.get(f"{API}/submissions/{second.submission_id}").json()
    assert detail["changes"] == [{"path": RATE, "before": 0.03, "after": 0.02}]
    assert detail["config"]["optimizer"]["muon"]["learning_rate"] == 0.02
    assert detail["duplicate_of"] == first.submission_id
    assert detail["run_ids"] == [first.run_id, second.run_id]
    assert (detail["run"]["run_id"], detail["run"]["state"]) == (second.run_id, "queued")
    assert detail["hypothesis"] == "It is better."


def test_the_detail_has_the_verdict_and_why_it_was_withdrawn(client: TestClient) -> None:
    first = submit_and_finish(client, "First", {RATE: 0.02}, val_loss=1.9)
    address = f"{API}/submissions/{first.submission_id}"
    assert client.get(address).json()["verdict"] is None
    baselines = [
        submit_and_finish(client, "Baseline", val_loss=loss).submission_id
        for loss in (2.0, 2.001, 1.999, 2.002, 1.998)
    ]
    second = submit(client, "Second", {RATE: 0.02})
    verdict = client.get(f"{API}/submissions/{second.submission_id}").json()["verdict"]
    assert (verdict["verdict"], verdict["num_runs"]) == ("better", 1)
    assert verdict["delta"] == pytest.approx(-0.1)
    assert verdict["is_record"]
    assert client.get(f"{API}/submissions/{baselines[0]}").json()["verdict"] is None

    request = {"author": "ada", "reason": "Wrong rate."}
    assert client.post(f"{address}/withdraw", json=request).status_code == 200
    withdrawn = client.get(address).json()["withdrawn"]
    assert (withdrawn["requested_by"], withdrawn["reason"]) == ("ada", "Wrong rate.")
    # Somebody who submitted the same did not take it back.
    detail = client.get(f"{API}/submissions/{second.submission_id}").json()
    assert detail["withdrawn"] is None
    assert detail["verdict"]["is_record"]


def test_an_unknown_submission_is_not_found(client: TestClient) -> None:
    for path in ("", "/yaml"):
        response = client.get(f"{API}/submissions/s_nobody{path}")
        assert (response.status_code, response.json()["kind"]) == (404, "not_found")
