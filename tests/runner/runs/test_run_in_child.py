"""A local run on several devices; its child process is a program that is not training."""

import os
import signal
import threading

import pytest

from runner.errors import FolderInUse, RunFailed, RunStopped
from runner.runs.run_folder import RunFolder
from runner.runs.run_in_child import train_in_child
from tests.runner import examples
from tests.runner.work import programs


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


@pytest.fixture
def result_file(tmp_path, monkeypatch):
    file = tmp_path / "result-to-copy.json"
    file.write_text(examples.result().model_dump_json())
    monkeypatch.setenv("RESULT", str(file))


def carry_out(folder: RunFolder, body: str):
    display = examples.SilentDisplay()
    command = programs.program(folder.path, body)
    return train_in_child(folder, display, command), display


@pytest.mark.usefixtures("result_file")
def test_the_childs_result_is_returned_and_its_progress_shown(folder):
    result, display = carry_out(folder, f"time.sleep(0.5); {programs.SUCCEED}")
    assert result == examples.result()
    assert (display.views[-1].completed, display.views[-1].total) == (1, 2)


def test_a_failure_is_told_with_what_to_do(folder):
    with pytest.raises(RunFailed, match=r"diverged: loss is nan\. .*lower the learning rates"):
        carry_out(folder, programs.FAIL)


def test_a_crash_is_told_by_the_logs_last_line(folder):
    with pytest.raises(RunFailed, match=r"status 1: ValueError: no such luck"):
        carry_out(folder, programs.CRASH)


def test_ctrl_c_keeps_what_was_done(folder):
    def interrupt():
        while not (folder.path / "started").exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(RunStopped, match="The same command goes on"):
        carry_out(folder, programs.STEP_UNTIL_ASKED)
    assert (folder.path / "checkpoint-000000001").exists()


def test_a_folder_in_use_is_refused(folder):
    with pytest.raises(FolderInUse):
        carry_out(folder, "sys.exit(7)")
