"""One run by two processes on the processor, through PyTorch's launcher."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.schema.overrides import resolve
from core.schema.result import FailureKind
from core.tracks import load_tracks
from runner import launch
from runner.exit_codes import ExitCode
from runner.runs.run_folder import RunFolder
from tests.runner import examples

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "model.hidden_size": 32,
    "model.feed_forward.hidden_size": 32,
    "training.batch_size": 4,
    "training.sequence_length": 32,
    "data.num_documents": 200,
    "evaluation.sequence_length": 32,
    "evaluation.validation_rows": 8,
    "evaluation.interval_steps": 5,
    "evaluation.tasks": [],
}
LAUNCH = """
import sys
from pathlib import Path
from runner.launch import launch
sys.exit(launch(Path(sys.argv[1]), 2, sys.argv[2:] or ("-m", "runner.execute")))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def prepare(folder: RunFolder, cache: Path, steps: int = 10, **settings):
    tokens = {"training.tokens": steps * 4 * 32}
    experiment = resolve(load_tracks()["debug"].base, SMALL | tokens | settings)
    spec = examples.spec().model_copy(update={"experiment": experiment, "max_devices": 2})
    folder.prepare(spec, examples.environment(cache))


def start(folder: RunFolder, *program: str) -> subprocess.Popen:
    with folder.log_path.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(folder.path), *program],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )


def finish(folder: RunFolder, launched: subprocess.Popen) -> int:
    try:
        return launched.wait(60)
    except subprocess.TimeoutExpired:
        launched.kill()
        raise AssertionError(folder.log_path.read_text()) from None


def test_two_processes_leave_one_result(folder, cache):
    prepare(folder, cache)
    status = finish(folder, start(folder))
    assert status == ExitCode.OK, folder.log_path.read_text()
    result = folder.result()
    assert result is not None
    assert (result.steps, result.provenance.num_devices) == (10, 2)
    assert [point.step for point in folder.metrics()] == list(range(1, 11))
    assert len(folder.log_path.read_text().splitlines()) == 4
    # One hour at $2 on two devices.
    hour = result.timing.model_copy(update={"compile_seconds": 600.0, "train_seconds": 3000.0})
    assert result.model_copy(update={"timing": hour}).cost_usd(2.0) == pytest.approx(4.0)


def test_a_request_to_stop_keeps_a_checkpoint_that_one_process_goes_on_from(folder, cache):
    prepare(folder, cache, steps=200)
    launched = start(folder)
    while len(folder.metrics()) < 2 and launched.poll() is None:
        time.sleep(0.05)
    launched.send_signal(signal.SIGTERM)
    assert finish(folder, launched) == ExitCode.INTERRUPTED, folder.log_path.read_text()
    assert folder.failure() is None
    (checkpoint,) = folder.path.glob("checkpoint-*")
    assert int(checkpoint.name.removeprefix("checkpoint-")) == folder.metrics()[-1].step


def test_the_processes_die_with_their_launcher(folder, cache):
    prepare(folder, cache, steps=200)
    launched = start(folder)
    while len(folder.metrics()) < 2 and launched.poll() is None:
        time.sleep(0.05)
    launched.kill()
    launched.wait()
    # The first process holds the folder as long as it lives.
    with folder.lock(wait_seconds=10.0):
        assert len(folder.metrics()) < 200
    assert folder.result() is None


def test_a_refusal_by_all_processes_is_one_failure(folder, cache):
    prepare(folder, cache, **{"training.gradient_accumulation_steps": 4})
    assert finish(folder, start(folder)) == ExitCode.RUN_FAILED
    failure = folder.failure()
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_CONFIG
    assert "over 2 devices" in failure.message


@pytest.mark.parametrize("rank", [0, 1])
def test_want_of_memory_in_any_process_ends_all_and_is_named(folder, cache, tmp_path, rank):
    prepare(folder, cache)
    program = tmp_path / "program.py"
    program.write_text(f"""
import os, torch
from core.train import trainer
from runner import execute
plain = trainer.Trainer.warm_up
def warm_up(self):
    if os.environ["RANK"] == "{rank}":
        raise torch.OutOfMemoryError("CUDA out of memory.")
    plain(self)
trainer.Trainer.warm_up = warm_up
execute.main()
""")
    assert finish(folder, start(folder, str(program))) == ExitCode.RUN_FAILED
    failure = folder.failure()
    assert failure is not None
    assert failure.kind is FailureKind.OUT_OF_MEMORY


def test_a_bug_is_the_last_line_of_the_log(folder, cache, tmp_path):
    prepare(folder, cache)
    program = tmp_path / "program.py"
    program.write_text("""
import os
from core.train import run
from runner import execute
def broken(*_):
    raise KeyError("bug")
run.run = broken
execute.main()
""")
    assert finish(folder, start(folder, str(program))) == ExitCode.FAILURE
    assert folder.failure() is None
    assert "ended first: KeyError: 'bug'" in folder.log_tail(1)[0]


@pytest.mark.parametrize(
    ("visible", "allowed", "batch_size", "parts", "expected"),
    [
        (0, 8, 16, 1, 1),
        (1, 8, 16, 1, 1),
        (8, 1, 16, 1, 1),
        (8, 8, 16, 1, 8),
        (4, 8, 16, 1, 4),
        # 12 rows in parts of 6: 6 devices share them out evenly, 8 and 7 do not.
        (8, 8, 12, 2, 6),
        (2, 8, 3, 1, 1),
    ],
)
def test_devices_are_taken_as_far_as_they_share_out_every_batch(
    monkeypatch, visible, allowed, batch_size, parts, expected
):
    monkeypatch.setattr(launch, "num_gpus", lambda _: visible)
    changes = {
        "training.batch_size": batch_size,
        "training.gradient_accumulation_steps": parts,
    }
    experiment = resolve(examples.spec().experiment, changes)
    spec = examples.spec().model_copy(update={"experiment": experiment, "max_devices": allowed})
    assert launch.num_processes(spec, "cuda") == expected
