"""Submitting within a quota and beyond it."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import SubmissionReceipt
from core.schema.track import Track
from server.quota.check import LEAST_SECONDS, expected_seconds
from server.tables import Job
from tests.server.factories import API, claim_one, finish, post_yaml, submission_yaml, submit
from tests.server.quota.conftest import Limit, age_charges, work_minutes

RATE = "optimizer.muon.learning_rate"


def quota(client: TestClient, author: str = "ada") -> dict[str, object]:
    answer: dict[str, object] = client.get(f"{API}/quota/{author}").json()
    return answer


def refusal(client: TestClient, author: str = "ada") -> dict[str, object]:
    """What the server says to a submission that it refuses."""
    response = post_yaml(client, submission_yaml("One too many", author, {RATE: 0.019}))
    assert response.status_code == 422, response.text
    body: dict[str, object] = response.json()
    assert body["kind"] == "quota_exceeded"
    return body


def test_without_a_quota_nothing_is_refused_and_usage_is_shown(
    client: TestClient, engine: Engine
) -> None:
    submit(client)
    work_minutes(client, engine, 10_000)
    receipt = submit(client)
    assert receipt.quota is not None
    assert receipt.quota.left_minutes is None
    assert round(receipt.quota.used_minutes) == 10_000


def test_the_receipt_says_what_is_left(client: TestClient, engine: Engine, limit: Limit) -> None:
    limit(60)
    receipt = submit(client)
    assert receipt.quota is not None
    # A minute is reserved: no GPU of the debug track has a known rate.
    assert (receipt.quota.reserved_minutes, receipt.quota.left_minutes) == (1.0, 59.0)
    work_minutes(client, engine, 20)
    left = quota(client)
    assert (round(left["used_minutes"]), left["reserved_minutes"]) == (20, 0.0)
    assert round(left["left_minutes"]) == 40
    assert quota(client, "eve")["left_minutes"] == 60.0


def test_beyond_the_quota_the_answer_names_field_use_bound_and_time(
    client: TestClient, engine: Engine, session: Session, limit: Limit
) -> None:
    limit(30)
    for minutes in (10, 19.5):
        submit(client)
        work_minutes(client, engine, minutes)
        age_charges(engine, timedelta(days=1))
    body = refusal(client)
    problem = body["problems"][0]
    assert (problem["path"], problem["line"]) == ("author", 3)
    expected = "'ada' has used 29.5 of the 30 GPU-minutes that an author may use in seven days, "
    expected += "0.0 are reserved for runs that wait or run, and this takes about 1.0. "
    assert problem["message"].startswith(expected)
    first = datetime.fromisoformat(str(quota(client)["frees_at"]))
    assert f"Enough is free again at {first:%Y-%m-%d %H:%M} UTC." in problem["message"]
    assert session.exec(select(Job.state).where(Job.state == "queued")).all() == []
    # Others are not concerned, and what was accepted before is answered as before.
    submit(client, author="eve")


def test_what_is_older_than_seven_days_counts_no_more(
    client: TestClient, engine: Engine, limit: Limit
) -> None:
    limit(30)
    submit(client)
    work_minutes(client, engine, 30)
    refusal(client)
    age_charges(engine, timedelta(days=7, seconds=1))
    submit(client, "Next week", {RATE: 0.02})


def test_runs_that_wait_are_reserved_until_they_end_or_are_cancelled(
    client: TestClient, limit: Limit
) -> None:
    limit(2)
    first = submit(client, "First", {RATE: 0.01})
    submit(client, "Second", {RATE: 0.02})
    assert "once enough of those runs have ended or were cancelled" in str(refusal(client))
    client.post(f"{API}/submissions/{first.submission_id}/cancel")
    submit(client, "Third", {RATE: 0.03})


def test_more_than_the_quota_itself_is_said_to_be_too_much(
    client: TestClient, limit: Limit
) -> None:
    limit(0.5)
    assert "more than the quota itself" in str(refusal(client))


def test_the_same_key_is_answered_as_before_beyond_the_quota(
    client: TestClient, limit: Limit
) -> None:
    receipt = submit(client, key="key-of-old")
    limit(0.5)
    again = post_yaml(client, submission_yaml(), "key-of-old")
    assert again.status_code == 200
    assert SubmissionReceipt.model_validate_json(again.content).run_id == receipt.run_id


def test_a_rerun_needs_quota_for_all_its_runs(client: TestClient, limit: Limit) -> None:
    receipt = submit(client)
    finish(client, claim_one(client))
    url = f"{API}/submissions/{receipt.submission_id}/rerun"
    limit(1.5)
    response = client.post(url, json={"author": "eve"})
    assert (response.status_code, response.json()["kind"]) == (422, "quota_exceeded")
    assert response.json()["problems"][0]["path"] == "author"
    limit(2)
    assert client.post(url, json={"author": "eve"}).status_code == 201


def test_submissions_at_the_same_time_do_not_pass_together(
    client: TestClient, limit: Limit
) -> None:
    limit(3)
    statuses: list[int] = []

    def send(number: int) -> None:
        text = submission_yaml(f"n{number}", overrides={RATE: number / 1000})
        statuses.append(post_yaml(client, text, f"at-once-{number}").status_code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] * 3 + [422] * 5


def test_a_run_is_expected_to_take_what_it_does_on_the_median_gpu(
    tracks: dict[str, Track],
) -> None:
    track = tracks["gpu_24gb"]
    seconds = expected_seconds(track.base, track.rules)
    prices = track.rules.prices_usd_per_hour
    alone = {
        gpu: expected_seconds(
            track.base, track.rules.model_copy(update={"prices_usd_per_hour": {gpu: price}})
        )
        for gpu, price in prices.items()
    }
    assert sorted(alone.values())[len(alone) // 2] == pytest.approx(seconds)
    debug = tracks["debug"]
    assert expected_seconds(debug.base, debug.rules) == LEAST_SECONDS


def test_an_author_that_no_submission_could_have_is_refused(client: TestClient) -> None:
    response = client.get(f"{API}/quota/a b")
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "author"
