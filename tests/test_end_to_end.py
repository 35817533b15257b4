"""The whole path over real processes: server, worker, submission, board; and both killed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from core.tracks import BASELINES

SUBMISSION = """track: debug
name: {name}
author: ada
hypothesis: It works from end to end.
overrides: {overrides}
"""


@pytest.fixture
def tracks(tmp_path):
    """The debug track made tiny: 200 steps of 128 tokens on 300 documents."""
    folder = tmp_path / "tracks" / "debug"
    shutil.copytree(BASELINES / "debug", folder)
    config = (folder / "config.yaml").read_text()
    for before, after in (
        ("hidden_size: 128", "hidden_size: 32"),
        ("hidden_size: 512", "hidden_size: 64"),
        ("tokens: 256000", "tokens: 25600"),
        ("batch_size: 8", "batch_size: 2"),
        ("sequence_length: 128", "sequence_length: 64"),
        ("num_documents: 4000", "num_documents: 300"),
        ("validation_rows: 100", "validation_rows: 20"),
    ):
        assert before in config
        config = config.replace(before, after)
    (folder / "config.yaml").write_text(config)
    rules = folder / "track.yaml"
    # Its data are others now.
    rules.write_text(re.sub(r"expected_data:\n(  .*\n)+", "", rules.read_text()))
    return folder.parent


class Processes:
    """A server and a worker that can be killed and started again."""

    def __init__(self, folder: Path, tracks: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._environment = os.environ | {
            "FIVE_DOLLAR_DATABASE_URL": f"sqlite:///{folder}/board.sqlite",
            "FIVE_DOLLAR_PORT": str(port),
            "FIVE_DOLLAR_TRACKS_FOLDER": str(tracks),
            "FIVE_DOLLAR_LEASE_SECONDS": "3",
            "FIVE_DOLLAR_QUEUES_RUNS": "false",
            "FIVE_DOLLAR_CANARY_HOURS": "0",
            "FIVE_DOLLAR_SERVER_URL": self.url,
            "FIVE_DOLLAR_DIRECTORY": str(folder / "runs"),
            "FIVE_DOLLAR_CACHE_DIRECTORY": str(folder / "cache"),
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def set(self, **settings: str) -> None:
        """Settings of what is started from here on."""
        self._environment |= {f"FIVE_DOLLAR_{name.upper()}": v for name, v in settings.items()}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._folder / "processes.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        process = self.start("server")
        wait_for(lambda: self._healthy())
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start("runner", "worker", "--device", "cpu", "--name", "tester")

    def runner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runner", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.running.remove(process)


def wait_for(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture
def processes(tmp_path, tracks):
    started = Processes(tmp_path, tracks)
    yield started
    for process in started.running:
        process.kill()
        process.wait()


def get(processes, path):
    return json.loads(httpx.get(f"{processes.url}/api/v1{path}").text)


def submit(processes, name, overrides="{}"):
    answer = httpx.post(
        f"{processes.url}/api/v1/submissions",
        content=SUBMISSION.format(name=name, overrides=overrides),
        headers={"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/yaml"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def finished(processes, run_id):
    status = get(processes, f"/runs/{run_id}")
    assert status["state"] != "failed", status
    return status if status["state"] == "succeeded" else None


def test_submissions_train_and_rank_though_server_and_worker_are_killed(processes):
    server = processes.start_server()
    baseline = submit(processes, "Baseline")
    changed = submit(processes, "QK-norm", "{model.attention.qk_norm: true}")
    worker = processes.start_worker()

    def steps():
        return len(get(processes, f"/runs/{baseline['run_id']}/metrics")["points"])

    wait_for(lambda: steps() >= 20)
    processes.kill(worker)
    before = steps()
    processes.kill(server)
    processes.start_server()
    assert steps() >= before
    worker = processes.start_worker()
    results = [
        wait_for(lambda run=receipt["run_id"]: finished(processes, run))
        for receipt in (baseline, changed)
    ]
    assert results[0]["attempt"] >= 2
    points = get(processes, f"/runs/{baseline['run_id']}/metrics")["points"]
    assert [point["step"] for point in points] == list(range(1, 201))
    assert points[-1]["val_loss"] == results[0]["result"]["val_loss"]

    board = httpx.get(f"{processes.url}/tracks/debug").text
    assert "QK-norm" in board
    assert f"{results[1]['result']['val_loss']:.4f}" in board

    again = submit(processes, "Baseline again")
    assert again["duplicate_of"] == baseline["submission_id"]
    assert again["seed"] == baseline["seed"] + 1
    wait_for(lambda: finished(processes, again["run_id"]))

    worker.terminate()
    assert worker.wait(timeout=60) == 0


def test_a_run_of_a_worker_is_reproduced_to_the_last_bit(processes):
    processes.start_server()
    changed = submit(processes, "QK-norm", "{model.attention.qk_norm: true}")
    processes.start_worker()
    theirs = wait_for(lambda: finished(processes, changed["run_id"]), 180.0)["result"]
    assert theirs["anchor"]["device"] == "cpu"
    assert theirs["relative_speed"] > 0

    reproduced = processes.runner("reproduce", changed["run_id"], "--device", "cpu", "--json")
    assert reproduced.returncode == 0, reproduced.stderr
    answer = json.loads(reproduced.stdout)
    assert answer["same_data"]
    assert answer["circumstances"] == []
    figures = {figure["label"]: figure for figure in answer["figures"]}
    assert figures["Validation loss"]["a"] == theirs["val_loss"]
    assert figures.pop("Peak memory")["delta"] is not None
    assert {figure["delta"] for figure in figures.values()} == {0, None}
    assert figures["Validation loss"]["delta"] == 0
    assert figures["synthetic_world acc_norm"]["delta"] == 0


def test_a_change_is_judged_without_anybody_asking(processes):
    processes.set(queues_runs="true")
    processes.start_server()
    changed = submit(processes, "Much slower", "{optimizer.muon.learning_rate: 0.0001}")
    worker = processes.start_worker()

    def verdict():
        (row,) = get(processes, "/tracks/debug/leaderboard")["rows"] or [{"verdict": None}]
        return row["verdict"]

    wait_for(lambda: finished(processes, changed["run_id"]))
    found = wait_for(verdict, 240.0)
    assert (found["verdict"], found["num_baseline_runs"]) == ("worse", 5)
    ledger = processes.runner("ledger", "--verify")
    assert ledger.returncode == 0, ledger.stderr
    worker.terminate()
    assert worker.wait(timeout=60) == 0
