"""Starting, ending and explaining a training process."""

import os
import time

import pytest

from core.schema.result import FailureKind
from runner.runs.run_folder import RunFolder
from runner.work import child as child_module
from runner.work.child import Child
from tests.runner.work import programs


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path)


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(folder: RunFolder, body: str) -> Child:
    child = Child(folder, programs.program(folder.path, body))
    wait_for(lambda: child.status is not None)
    return child


def test_output_of_the_child_is_the_log(folder):
    ended(folder, "print('and more', file=sys.stderr)")
    assert folder.log_path.read_text() == "hello from the child\nand more\n"


def test_a_crash_is_explained_by_the_logs_last_line(folder):
    failure = ended(folder, programs.CRASH).explain_death()
    assert failure.kind is FailureKind.INTERNAL_ERROR
    expected = "The training process ended with status 1: ValueError: no such luck"
    assert failure.message == expected


def test_a_segmentation_fault_is_the_platforms_fault(folder):
    failure = ended(folder, programs.SEGFAULT).explain_death()
    assert failure.kind is FailureKind.INTERNAL_ERROR
    assert failure.message == "The training process was ended by SIGSEGV."


def test_kill_9_is_the_platforms_fault_if_memory_did_not_run_out(folder, monkeypatch):
    monkeypatch.setattr(child_module, "oom_kills", lambda: 5)
    failure = ended(folder, programs.DIE).explain_death()
    assert failure.kind is FailureKind.INTERNAL_ERROR
    assert failure.message == "The training process was ended by SIGKILL."


def test_kill_9_is_out_of_memory_if_the_kernel_killed_for_memory_meanwhile(folder, monkeypatch):
    counts = iter([5, 6])
    monkeypatch.setattr(child_module, "oom_kills", lambda: next(counts))
    assert ended(folder, programs.DIE).explain_death().kind is FailureKind.OUT_OF_MEMORY


def test_the_kernels_count_is_read(tmp_path, monkeypatch):
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 7\noom_kill 3\noom_kill_other 9\n")
    monkeypatch.setattr(child_module, "VMSTAT", file)
    assert child_module.oom_kills() == 3
    file.unlink()
    assert child_module.oom_kills() == 0


def test_a_full_disk_is_named_though_the_child_could_write_nothing(folder):
    failure = ended(folder, "sys.exit(9)").explain_death()
    assert failure.kind is FailureKind.INTERNAL_ERROR
    assert failure.message == "The worker's disk is full, read-only or broken."


def test_killing_reaches_what_the_child_started(folder):
    child = Child(folder, programs.program(folder.path, programs.IGNORE_REQUESTS))
    wait_for((folder.path / "started").exists)
    grandchild = int((folder.path / "grandchild").read_text())
    assert is_alive(grandchild)
    child.ask_to_stop()
    assert child.status is None
    child.kill()
    wait_for(lambda: not is_alive(grandchild))
    assert child.status == -9


def test_the_child_knows_its_parent(folder):
    ended(folder, "write('parent', str(parent))")
    assert (folder.path / "parent").read_text() == str(os.getpid())


def test_training_does_not_get_the_access_token(folder, monkeypatch):
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", "fdl_secret")
    monkeypatch.setenv("FIVE_DOLLAR_MIRROR", "mirror.yaml")
    body = "import os; print(sorted(name for name in os.environ if 'FIVE' in name))"
    ended(folder, body)
    assert folder.log_path.read_text().splitlines()[-1] == "['FIVE_DOLLAR_MIRROR']"
