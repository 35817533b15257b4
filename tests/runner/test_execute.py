"""One run in this process: what it leaves in its folder."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from core import errors
from core.schema.job import Phase
from core.schema.problem import Problem
from core.schema.result import FailureKind
from runner.execute import execute, failure_kind
from runner.exit_codes import ExitCode
from runner.runs.run_folder import RunFolder
from tests.runner import examples


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.prepare(examples.spec(), examples.environment(tmp_path))
    return folder


@pytest.fixture(autouse=True)
def signals():
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_run_leaves_its_result_metrics_and_progress(folder):
    def train(spec, directory, environment, reporter):
        assert (spec, directory) == (examples.spec(), folder.path)
        assert environment.device == "cpu"
        reporter.phase(Phase.TRAINING, 1, 2)
        reporter.metric(examples.metric(1))
        reporter.metric(examples.metric(2))
        return examples.result()

    assert execute(folder, train) is ExitCode.OK
    assert folder.result() == examples.result()
    assert [point.step for point in folder.metrics()] == [1, 2]
    assert folder.progress().phase is Phase.TRAINING
    assert folder.failure() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_run_to_stop(folder, number):
    def train(spec, directory, environment, reporter):
        assert not reporter.should_stop()
        os.kill(os.getpid(), number)
        assert reporter.should_stop()
        raise errors.Interrupted("stopped")

    assert execute(folder, train) is ExitCode.INTERRUPTED
    assert folder.result() is None
    assert folder.failure() is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidInput([Problem(path="a", message="b")]), FailureKind.INVALID_CONFIG),
        (errors.TooFewTokens([Problem(path="a", message="b")]), FailureKind.INVALID_CONFIG),
        (errors.DataUnavailable("x"), FailureKind.DATA_UNAVAILABLE),
        (errors.Diverged("x"), FailureKind.DIVERGED),
        (errors.OutOfMemory("x"), FailureKind.OUT_OF_MEMORY),
        (errors.BudgetExceeded("x"), FailureKind.BUDGET_EXCEEDED),
        (errors.CheckpointCorrupt("x"), FailureKind.INTERNAL_ERROR),
        (MemoryError("x"), FailureKind.OUT_OF_MEMORY),
        (errors.CoreError("x"), FailureKind.INTERNAL_ERROR),
    ],
)
def test_every_error_of_core_has_its_kind(error, kind):
    assert failure_kind(error) is kind


def test_a_failure_is_left_with_its_message(folder):
    def train(*arguments):
        raise errors.Diverged("the loss is nan after step 7")

    assert execute(folder, train) is ExitCode.RUN_FAILED
    failure = folder.failure()
    assert failure is not None
    assert failure.kind is FailureKind.DIVERGED
    assert failure.message == "the loss is nan after step 7"


FULL = OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")


def test_a_full_disk_is_the_platforms_fault_and_named(folder):
    def train(*arguments):
        raise FULL

    assert execute(folder, train) is ExitCode.DISK
    failure = folder.failure()
    assert failure is not None
    assert failure.kind is FailureKind.INTERNAL_ERROR
    assert "disk is full" in failure.message
    assert "metrics.jsonl" in failure.message


def test_a_disk_too_full_for_the_message_leaves_the_status(folder, monkeypatch):
    def train(*arguments):
        raise FULL

    def refuse(*arguments):
        raise FULL

    monkeypatch.setattr(RunFolder, "write_failure", refuse)
    assert execute(folder, train) is ExitCode.DISK
    assert folder.failure() is None


def test_metrics_that_do_not_fit_end_the_run_and_leave_whole_lines(folder):
    code = f"""
import resource
from pathlib import Path
from runner.execute import execute
from runner.runs.run_folder import RunFolder
from tests.runner import examples

def train(spec, directory, environment, reporter):
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    for step in range(1, 1000):
        reporter.metric(examples.metric(step))

raise SystemExit(execute(RunFolder(Path({str(folder.path)!r})), train))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == ExitCode.DISK, ended.stderr
    assert [point.step for point in folder.metrics()] == list(range(1, len(folder.metrics()) + 1))
    assert 5 < len(folder.metrics()) < 30
    # The next attempt, with room, goes on after the last whole line.
    assert execute(folder, lambda *arguments: tell(arguments[3])) is ExitCode.OK
    assert folder.metrics()[-1].step == 1000


def tell(reporter):
    reporter.metric(examples.metric(1000))
    return examples.result()


def test_a_bug_is_not_taken_for_a_failure_of_the_run(folder):
    def train(*arguments):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        execute(folder, train)
    assert folder.failure() is None


def test_a_folder_that_is_locked_is_not_trained_in(folder):
    code = "from runner import execute; execute.LOCK_WAIT_SECONDS = 0.1; execute.main()"
    with folder.lock():
        ended = subprocess.run(
            [sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True
        )
    assert ended.returncode == ExitCode.CONFLICT
    assert "Another process is training" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_the_anchor_that_was_measured_before_the_run_is_in_its_result(folder):
    folder.write_anchor(examples.anchor(tokens_per_second=4000.0))
    assert execute(folder, lambda *_: examples.result()) is ExitCode.OK
    result = folder.result()
    assert result is not None
    assert result.anchor == examples.anchor()
    assert result.relative_speed == 1.25  # 5000 tokens/s over 4000


@pytest.mark.parametrize(
    "changes", [{"device": "NVIDIA T4"}, {"driver": "1"}, {"torch": "2.10"}, {"code_commit": "old"}]
)
def test_an_anchor_of_another_machine_or_other_code_is_left_out(folder, changes):
    folder.write_anchor(examples.anchor().model_copy(update=changes))
    execute(folder, lambda *_: examples.result())
    result = folder.result()
    assert result is not None
    assert result.anchor is None
    assert result.relative_speed is None


def test_metrics_are_one_json_object_a_line(folder):
    def train(spec, directory, environment, reporter):
        reporter.metric(examples.metric(1))
        # Readable while the run goes on.
        assert json.loads(folder.metrics_path.read_text())["step"] == 1
        return examples.result()

    execute(folder, train)
