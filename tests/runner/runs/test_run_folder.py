"""Files of a run: whole, locked, and read while they are written."""

import errno
import os

import pytest

from core.schema.job import Phase
from core.schema.result import FailureKind
from runner.errors import DamagedFolder, FolderInUse, NotFound, OtherRun
from runner.runs.run_folder import STARTING, Progress, RunFolder, tail_lines
from tests.runner import examples


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_spec_and_environment_come_back_as_they_were(folder, tmp_path):
    environment = examples.environment(tmp_path)
    folder.prepare(examples.spec(), environment)
    assert folder.spec() == examples.spec()
    assert folder.environment() == environment


def test_preparing_again_forgets_the_failure_and_keeps_metrics(folder, tmp_path):
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    folder.write_failure(FailureKind.WORKER_LOST, "gone")
    folder.write_progress(Progress(phase=Phase.TRAINING, completed=1, total=2))
    folder.metrics_path.write_text(examples.metric(1).model_dump_json() + "\n")
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    assert folder.failure() is None
    assert folder.progress() == STARTING
    assert len(folder.metrics()) == 1


def test_a_folder_is_not_given_to_another_run(folder, tmp_path):
    folder.prepare(examples.spec(seed=1), examples.environment(tmp_path))
    with pytest.raises(OtherRun, match=r"with seed 1\. Name another folder"):
        folder.prepare(examples.spec(seed=2), examples.environment(tmp_path))


def test_a_run_goes_on_under_a_new_price_list(folder, tmp_path):
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    dearer = examples.spec().model_copy(update={"prices_usd_per_hour": {"cpu": 1.0}})
    folder.prepare(dearer, examples.environment(tmp_path))
    assert folder.spec() == dearer


@pytest.mark.parametrize("name", ["spec.json", "result.json", "metrics.jsonl"])
def test_a_file_of_another_version_is_named(folder, name):
    folder.path.mkdir()
    (folder.path / name).write_text('{"a": 1}\n')
    read = {"spec.json": folder.spec, "result.json": folder.result}.get(name, folder.metrics)
    with pytest.raises(DamagedFolder, match=rf"{name} is damaged, or another version"):
        read()


def test_a_folder_that_is_no_run_folder_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"is not a run folder: it has no spec\.json"):
        RunFolder(tmp_path).spec()


def test_a_step_that_was_repeated_counts_once_with_its_latest_values(folder):
    folder.path.mkdir()
    points = [examples.metric(1), examples.metric(2, 3.0), examples.metric(2, 2.5)]
    text = "".join(f"{point.model_dump_json()}\n" for point in points)
    folder.metrics_path.write_text(text + '{"step": 3, "tok')
    assert [(p.step, p.train_loss) for p in folder.metrics()] == [(1, 3.0), (2, 2.5)]


def test_the_latest_metric_is_the_last_whole_line(folder):
    folder.path.mkdir()
    assert folder.latest_metric() is None
    lines = [examples.metric(step).model_dump_json() for step in range(1, 50)]
    folder.metrics_path.write_text("\n".join(lines) + '\n{"step": 50')
    assert folder.latest_metric() == examples.metric(49)


def test_only_one_holds_a_folder(folder):
    with folder.lock(), pytest.raises(FolderInUse), folder.lock():
        pass
    with folder.lock():
        pass


def test_only_checkpoints_are_removed(folder):
    for name in ("checkpoint-000000010", ".checkpoint-000000020.123"):
        (folder.path / name).mkdir(parents=True)
        (folder.path / name / "model.safetensors").write_text("big")
    folder.write_result(examples.result())
    folder.remove_checkpoints()
    assert [path.name for path in folder.path.iterdir()] == ["result.json"]


def test_what_does_not_fit_on_the_disk_leaves_the_old_file_and_no_half(folder, monkeypatch):
    folder.path.mkdir()
    folder.write_failure(FailureKind.WORKER_LOST, "gone")

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        folder.write_failure(FailureKind.WORKER_LOST, "again")
    assert [path.name for path in folder.path.iterdir()] == ["failure.json"]
    failure = folder.failure()
    assert failure is not None
    assert failure.message == "gone"


@pytest.mark.parametrize("name", ["spec.json", "result.json"])
def test_a_damaged_folder_is_set_aside(folder, tmp_path, name):
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    assert folder.set_aside_if_damaged() is None
    (folder.path / name).write_text('{"half')
    kept = folder.set_aside_if_damaged()
    assert kept is not None
    assert kept.name.startswith("run.damaged-")
    assert (kept / name).read_text() == '{"half'
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    assert folder.result() is None


def test_a_folder_that_is_not_there_is_not_damaged(folder):
    assert folder.set_aside_if_damaged() is None


def test_long_failure_messages_are_cut(folder):
    folder.path.mkdir()
    folder.write_failure(FailureKind.INTERNAL_ERROR, "x" * 20_000)
    failure = folder.failure()
    assert failure is not None
    assert len(failure.message) == 10_000


def test_a_tail_reads_the_end_of_a_file(tmp_path):
    file = tmp_path / "log"
    assert tail_lines(file, 100) == []
    file.write_text("one\ntwo\nthree\n")
    assert tail_lines(file, 10)[-2:] == ["two", "three"]
