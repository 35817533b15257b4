import threading

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, func, select
from starlette.testclient import TestClient

from core.errors import InvalidInput
from core.schema.job import JobState
from core.tracks import load_tracks
from server.access.caller import ANYBODY
from server.database import write_session
from server.settings import ServerSettings
from server.submissions import accept
from server.tables import Experiment, Job, Run, SubmissionRow
from tests.server.factories import (
    API,
    claim_one,
    finish,
    post_yaml,
    submission_yaml,
    submit,
)

QK_NORM = {"model.attention.qk_norm": "true"}


def count(session: Session) -> tuple[int, int, int, int]:
    """Rows of experiments, submissions, runs and jobs."""
    tables = (Experiment, SubmissionRow, Run, Job)
    counts = [session.exec(select(func.count()).select_from(table)).one() for table in tables]
    return (counts[0], counts[1], counts[2], counts[3])


def test_a_submission_becomes_experiment_run_and_queued_job(
    client: TestClient, session: Session
) -> None:
    receipt = submit(client, "QK-norm", QK_NORM)
    assert receipt.seed == 1000
    assert receipt.jobs_ahead == 0
    assert receipt.duplicate_of is None
    assert receipt.url == f"http://board.test/submissions/{receipt.submission_id}"
    row = session.get_one(SubmissionRow, receipt.submission_id)
    experiment = session.get_one(Experiment, receipt.experiment_hash)
    job = session.exec(select(Job)).one()
    assert (row.name, row.author, row.track, row.built_on) == ("QK-norm", "ada", "debug", None)
    assert experiment.config["model"]["attention"]["qk_norm"] is True
    assert (job.run_id, job.state, job.needs_cuda) == (receipt.run_id, JobState.QUEUED, False)
    assert 10**6 < job.memory_bytes < 2**30


def test_a_cuda_track_asks_for_a_cuda_worker(client: TestClient, session: Session) -> None:
    submit(client, track="gpu_24gb")
    assert session.exec(select(Job.needs_cuda)).one() is True


def test_the_same_key_again_returns_the_receipt_and_queues_nothing(
    client: TestClient, session: Session
) -> None:
    text = submission_yaml()
    first = post_yaml(client, text, "same-key")
    again = post_yaml(client, text, "same-key")
    assert (first.status_code, again.status_code) == (201, 200)
    # The forecast is of the moment.
    assert {**again.json(), "forecast": None} == {**first.json(), "forecast": None}
    assert count(session) == (1, 1, 1, 1)


def test_the_same_key_with_another_submission_is_refused(
    client: TestClient, session: Session
) -> None:
    submit(client, "One", key="same-key")
    response = post_yaml(client, submission_yaml("Two"), "same-key")
    assert response.status_code == 409
    assert response.json()["kind"] == "idempotency_key_reused"
    assert count(session) == (1, 1, 1, 1)


def test_the_receipt_of_a_finished_run_has_nobody_ahead(client: TestClient) -> None:
    submit(client, key="same-key")
    offer = claim_one(client)
    submit(client, "Other", QK_NORM)
    finish(client, offer)
    assert post_yaml(client, submission_yaml(), "same-key").json()["jobs_ahead"] == 0


def test_an_equal_experiment_adds_a_seed_and_names_the_first(
    client: TestClient, session: Session
) -> None:
    first = submit(client, "One", QK_NORM)
    second = submit(client, "Two", QK_NORM)
    third = submit(client, "Three", QK_NORM)
    assert [first.seed, second.seed, third.seed] == [1000, 1001, 1002]
    assert second.duplicate_of == third.duplicate_of == first.submission_id
    assert second.jobs_ahead == 1
    assert count(session) == (1, 3, 3, 3)


def test_a_setting_at_its_default_is_the_same_experiment(client: TestClient) -> None:
    plain = submit(client, "Plain")
    assert submit(client, "Spelt", {"model.attention.qk_norm": "false"}).duplicate_of == (
        plain.submission_id
    )


def test_a_submission_builds_on_another(client: TestClient, session: Session) -> None:
    parent = submit(client, "Parent", QK_NORM)
    overrides = {"optimizer.muon.learning_rate": 0.02}
    child = submit(client, "Child", overrides, built_on=parent.submission_id)
    config = session.get_one(Experiment, child.experiment_hash).config
    assert config["model"]["attention"]["qk_norm"] is True
    assert config["optimizer"]["muon"]["learning_rate"] == 0.02
    assert session.get_one(SubmissionRow, child.submission_id).built_on == parent.submission_id


def built_on_problem(client: TestClient, built_on: str) -> dict[str, object]:
    response = post_yaml(client, submission_yaml(built_on=built_on))
    assert response.status_code == 422
    assert response.json()["kind"] == "invalid_submission"
    problem: dict[str, object] = response.json()["problems"][0]
    return problem


def test_building_on_an_unknown_submission_is_refused_with_its_line(client: TestClient) -> None:
    problem = built_on_problem(client, "s_nowhere")
    assert problem["path"] == "built_on"
    assert problem["line"] == 5
    assert "s_nowhere" in str(problem["message"])


def test_building_on_another_track_is_refused(client: TestClient) -> None:
    other = submit(client, track="gpu_24gb")
    assert "is on the track gpu_24gb" in str(
        built_on_problem(client, other.submission_id)["message"]
    )


def test_building_on_an_older_version_of_the_track_is_refused(
    client: TestClient, engine: Engine
) -> None:
    parent = submit(client, "Parent")
    with write_session(engine) as session:
        session.get_one(Experiment, parent.experiment_hash).track_version = 0
    assert "now at version 1" in str(built_on_problem(client, parent.submission_id)["message"])


def test_a_refused_submission_leaves_nothing_and_names_every_problem(
    client: TestClient, session: Session
) -> None:
    overrides = {"model.atention.qk_norm": "true", "model.dropout": 1.5, "training.tokens": 1}
    response = post_yaml(client, submission_yaml(overrides=overrides))
    assert response.status_code == 422
    problems = response.json()["problems"]
    assert {problem["path"] for problem in problems} == set(overrides)
    assert problems[0]["nearest"] == "model.attention.qk_norm"
    assert count(session) == (0, 0, 0, 0)


def test_a_nul_character_from_an_author_is_refused(client: TestClient, session: Session) -> None:
    text = submission_yaml().replace("It is better.", r'"a\0b"')
    response = post_yaml(client, text)
    assert response.status_code == 422
    assert "no control characters" in response.json()["message"]
    assert count(session) == (0, 0, 0, 0)


@pytest.mark.parametrize("same_key", [True, False])
def test_submissions_at_the_same_moment_each_get_one_run_and_one_seed(
    engine: Engine, settings: ServerSettings, session: Session, same_key: bool
) -> None:
    tracks = load_tracks(settings.tracks_folder)
    barrier = threading.Barrier(8)
    seeds: list[int] = []

    def work(index: int) -> None:
        key = "shared-key" if same_key else f"own-key-{index}"
        barrier.wait()
        receipt, _ = accept(engine, tracks, submission_yaml().encode(), key, "", ANYBODY, 0.0)
        seeds.append(receipt.seed)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if same_key:
        assert (sorted(seeds), count(session)) == ([1000] * 8, (1, 1, 1, 1))
    else:
        assert (sorted(seeds), count(session)) == (list(range(1000, 1008)), (1, 8, 8, 8))


def test_a_known_key_is_answered_even_if_its_track_is_gone(
    client: TestClient, engine: Engine
) -> None:
    receipt = submit(client, key="same-key")
    again, is_new = accept(engine, {}, submission_yaml().encode(), "same-key", "", ANYBODY, 0.0)
    assert (again.submission_id, is_new) == (receipt.submission_id, False)


def test_a_track_that_is_not_served_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="there is no track 'debug'"):
        accept(engine, {}, submission_yaml(built_on="s_x").encode(), "some-key", "", ANYBODY, 0.0)


def test_the_yaml_comes_back_as_it_was_sent(client: TestClient) -> None:
    text = "# a comment, and ünïcode\r\n" + submission_yaml()
    response = post_yaml(client, text)
    sent = client.get(f"{API}/submissions/{response.json()['submission_id']}/yaml")
    assert sent.content == text.encode()
    assert sent.headers["content-type"] == "application/yaml; charset=utf-8"


def test_a_child_starts_from_what_its_parent_wrote(client: TestClient, session: Session) -> None:
    # Both parents are the baseline: rank and width of a latent attention that is off do nothing.
    submit(client, "Sixteen", {"model.attention.latent.kv_rank": 16})
    parent = submit(client, "Thirty-two", {"model.attention.latent.kv_rank": 32})
    assert parent.duplicate_of is not None
    heads = {"rotary_head_dim": 16, "plain_head_dim": 16, "value_head_dim": 32}
    latent = {f"model.attention.latent.{name}": channels for name, channels in heads.items()}
    latent |= {"model.attention.kind": "latent"}
    child = submit(client, "Latent", latent, built_on=parent.submission_id)
    config = session.get_one(Experiment, child.experiment_hash).config
    assert config["model"]["attention"]["latent"]["kv_rank"] == 32
