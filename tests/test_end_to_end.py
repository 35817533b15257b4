"""The whole path over real processes: server, worker, submission, board; and both killed."""

import json
import re
import uuid

import httpx
import pytest

from benchmarks.processes import Processes, wait_for
from benchmarks.tiny_track import write_tiny_track

SUBMISSION = """track: debug
name: {name}
author: ada
hypothesis: It works from end to end.
overrides: {overrides}
"""


@pytest.fixture
def processes(tmp_path):
    write_tiny_track(tmp_path / "tracks")
    started = Processes(tmp_path, tmp_path / "tracks")
    yield started
    started.stop()


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
    # The tiny track has layers of four experts.
    for point in points:
        assert 0 <= point["expert_max_violation"] <= point["worst_expert_max_violation"] <= 3
        assert 0 <= point["idle_expert_share"] <= 0.75
    [run] = get(processes, f"/submissions/{baseline['submission_id']}/curves")["runs"]
    curve = next(one for one in run["series"] if one["metric"] == "expert_max_violation")
    assert curve["values"] == [point["expert_max_violation"] for point in points]

    board = httpx.get(f"{processes.url}/tracks/debug").text
    assert "QK-norm" in board
    assert f"{results[1]['result']['val_loss']:.4f}" in board

    again = submit(processes, "Baseline again")
    assert again["duplicate_of"] == baseline["submission_id"]
    assert again["seed"] == baseline["seed"] + 1
    wait_for(lambda: finished(processes, again["run_id"]))

    worker.terminate()
    assert worker.wait(timeout=60) == 0


SLOW_CHILD = """
import time
from core.train import run
from runner.execute import main
save = run.save_checkpoint
def save_and_rest(*arguments):
    save(*arguments)
    time.sleep(1.0)
run.CHECKPOINT_SECONDS, run.save_checkpoint = 0.0, save_and_rest
main()
"""
SLOW_WORKER = f"""
import sys
from runner.work import child
child.EXECUTE = (sys.executable, "-c", {SLOW_CHILD!r})
from runner.cli import app
app()
"""


def test_what_a_killed_worker_left_is_gone_on_with_elsewhere_to_the_same_result(
    processes, tmp_path
):
    processes.set(upload_seconds="0.2")
    processes.start_server()
    run_id = submit(processes, "Carried over")["run_id"]
    first = processes.start_worker("first", "first", ("-c", SLOW_WORKER))
    artifacts = tmp_path / "artifacts"

    def steps_kept():
        return [int(path.name.split("-")[2]) for path in artifacts.glob("*.tar")]

    wait_for(lambda: any(step >= 50 for step in steps_kept()))
    processes.kill(first)
    second = processes.start_worker("second", "second")
    result = wait_for(lambda: finished(processes, run_id))
    assert (result["attempt"], result["result"]["steps"]) == (2, 200)
    log = httpx.get(f"{processes.url}/api/v1/runs/{run_id}/log").text
    (step,) = re.findall(r"fetched the checkpoint of step (\d+) from the server", log)
    lines = (tmp_path / "second" / "runs" / run_id / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["step"] == int(step) + 1 > 50
    assert len(lines) == 200 - int(step)

    # Trained again, without a break.
    reproduced = processes.runner("reproduce", run_id, "--device", "cpu", "--json")
    assert reproduced.returncode == 0, reproduced.stderr
    figures = {figure["label"]: figure for figure in json.loads(reproduced.stdout)["figures"]}
    assert figures["Validation loss"]["deltas"][1] == 0
    assert figures["synthetic_world acc_norm"]["deltas"][1] == 0
    wait_for(lambda: not list(artifacts.iterdir()), 30.0)
    second.terminate()
    assert second.wait(timeout=60) == 0


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
    assert figures["Validation loss"]["values"][0] == theirs["val_loss"]
    assert figures.pop("Peak memory")["deltas"][1] is not None
    assert {figure["deltas"][1] for figure in figures.values()} == {0, None}
    assert figures["Validation loss"]["deltas"][1] == 0
    assert figures["synthetic_world acc_norm"]["deltas"][1] == 0


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
