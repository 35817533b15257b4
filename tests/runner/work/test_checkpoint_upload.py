"""When a checkpoint is uploaded, and what may go wrong."""

import threading
import time

import pytest

from core.schema.job import Phase
from core.train.checkpoint_folder import FILES, checkpoint_folder
from runner.runs.run_folder import Progress, RunFolder
from runner.work.checkpoint_upload import CheckpointUploads, UploadRules
from tests.runner.work.test_child import wait_for

LARGE = 10**6


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    return folder


def train(folder, step):
    """Training that has come to a step and wrote a checkpoint there."""
    folder.write_progress(Progress(phase=Phase.TRAINING, completed=step, total=100))
    path = checkpoint_folder(folder.path, step)
    path.mkdir()
    for name in FILES:
        (path / name).write_text(f"{name} of step {step}")


@pytest.fixture
def uploads(folder, client, offer):
    uploads = CheckpointUploads(folder, client, offer, UploadRules(300.0, LARGE))
    yield uploads
    uploads.stop()


def steps(server):
    return [step for step, _ in server.checkpoints]


def consider(uploads, *moments):
    """Look at these moments, and wait for what was begun."""
    for now in moments:
        uploads.consider(now)
        if uploads._thread is not None:
            uploads._thread.join()


def test_the_first_upload_is_due_after_300_seconds_of_training(uploads, folder, server):
    consider(uploads, 0.0, 1000.0)
    train(folder, 5)
    consider(uploads, 1000.0, 1299.0)
    assert steps(server) == []
    consider(uploads, 1300.0)
    assert steps(server) == [5]


def test_the_next_upload_is_due_300_seconds_after_the_last_and_of_another_checkpoint(
    uploads, folder, server
):
    began = time.monotonic()
    train(folder, 5)
    consider(uploads, began, began + 300)
    train(folder, 10)
    consider(uploads, began + 299)
    assert steps(server) == [5]
    consider(uploads, began + 700, began + 1400)
    assert steps(server) == [5, 10]


def test_what_was_fetched_from_the_server_is_not_sent_back(folder, client, offer, server):
    stored = {"step": 5, "num_bytes": 1, "sha256": "0" * 64}
    resumed = type(offer).model_validate({**offer.model_dump(), "checkpoint": stored})
    uploads = CheckpointUploads(folder, client, resumed, UploadRules(300.0, LARGE))
    train(folder, 5)
    consider(uploads, 0.0, 300.0)
    train(folder, 6)
    consider(uploads, 301.0)
    assert steps(server) == [6]


@pytest.mark.parametrize("rules", [UploadRules(0.0, LARGE), UploadRules(300.0, 0)])
def test_nothing_is_uploaded_where_worker_or_server_wants_none(
    folder, client, offer, server, rules
):
    uploads = CheckpointUploads(folder, client, offer, rules)
    train(folder, 5)
    consider(uploads, 0.0, 1e6)
    assert steps(server) == []


def test_what_the_server_does_not_take_is_not_sent(folder, client, offer, server, caplog):
    uploads = CheckpointUploads(folder, client, offer, UploadRules(300.0, 4000))
    train(folder, 5)
    consider(uploads, 0.0, 300.0, 1e6)
    assert "checkpoint" not in server.calls
    assert caplog.text.count("the server takes 4,000 (its FIVE_DOLLAR_CHECKPOINT_GIB)") == 1


def test_a_slow_upload_keeps_nobody_waiting_and_ends_with_the_run(
    uploads, folder, client, monkeypatch
):
    begun, ended = threading.Event(), threading.Event()

    def send_slowly(job_id, token, checkpoint, pieces):
        begun.set()
        try:
            for _ in pieces:
                time.sleep(0.2)
        finally:
            ended.set()

    monkeypatch.setattr(client, "send_checkpoint", send_slowly)
    train(folder, 5)
    began = time.monotonic()
    for now in (0.0, 300.0, 600.0, 900.0):
        uploads.consider(now)
    assert time.monotonic() - began < 0.2
    wait_for(begun.is_set)
    uploads.stop()
    assert ended.is_set()
    # Nine pieces and their padding would have taken two seconds.
    assert time.monotonic() - began < 1.5


def test_a_checkpoint_that_training_has_just_deleted_is_looked_for_again(uploads, folder, server):
    train(folder, 5)
    (checkpoint_folder(folder.path, 5) / "state.pt").unlink()
    consider(uploads, 0.0, 300.0)
    assert steps(server) == []
    train(folder, 6)
    consider(uploads, 301.0)
    assert steps(server) == [6]
