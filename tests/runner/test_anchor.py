"""The program that measures a baseline's speed: alone, by two processes, and where it cannot."""

import subprocess
import sys

import pytest

from core import errors
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train import anchor as core_anchor
from runner.anchor import PROGRAM, baseline_spec, measure
from runner.exit_codes import ExitCode
from runner.runs.run_folder import RunFolder
from tests.runner import examples
from tests.runner.test_launch import LAUNCH, ROOT, SMALL


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    baseline = resolve(load_tracks()["debug"].base, SMALL)
    changes = {"anchor": baseline, "max_devices": 2}
    folder.prepare(examples.spec().model_copy(update=changes), examples.environment(tmp_path))
    return folder


def test_the_baseline_is_what_is_trained(folder):
    spec = folder.spec()
    assert baseline_spec(spec).experiment == spec.anchor != spec.experiment


def test_an_anchor_is_left_in_the_folder_and_gone_before_the_next_attempt(folder, monkeypatch):
    monkeypatch.setattr(core_anchor, "measure_anchor", lambda *_: examples.anchor())
    assert measure(folder.spec(), folder) is ExitCode.OK
    assert folder.anchor() == examples.anchor()
    folder.prepare(folder.spec(), folder.environment())
    assert folder.anchor() is None


@pytest.mark.parametrize("error", [errors.OutOfMemory("full"), MemoryError("full")])
def test_a_baseline_that_cannot_be_trained_leaves_a_reason_in_the_log(
    folder, monkeypatch, caplog, error
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(core_anchor, "measure_anchor", fail)
    assert measure(folder.spec(), folder) is ExitCode.RUN_FAILED
    assert folder.anchor() is None
    assert "could not be measured: full" in caplog.text


def test_two_processes_measure_one_anchor(folder):
    ended = subprocess.run(
        [sys.executable, "-c", LAUNCH, str(folder.path), *PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == ExitCode.OK, ended.stdout + ended.stderr
    anchor = folder.anchor()
    assert anchor is not None
    assert anchor.num_devices == 2
    assert anchor.tokens_per_second > 0
