import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.errors import InvalidInput
from core.schema.canonical import experiment_hash
from core.tracks import load_tracks
from server.baselines import import_baselines
from server.database import write_session
from server.tables import Job, Run, SubmissionRow
from tests.server.factories import API, run_result, submit, submit_and_finish


@pytest.fixture
def folder(tmp_path: Path, tracks_folder: Path) -> Path:
    """Tracks whose debug baseline was measured with the seeds 1000 and 1001."""
    folder = tmp_path / "measured"
    shutil.copytree(tracks_folder, folder)
    measure(folder, [("debug-a", 1000, "b"), ("debug-b", 1001, "b")])
    return folder


def measure(folder: Path, runs: list[tuple[str, int, str]]) -> None:
    """Write (id, seed, letter of the validation data) as the debug track's results."""
    track = load_tracks(folder)["debug"]
    results = [
        {
            "run_id": run_id,
            "experiment_hash": experiment_hash("debug", track.rules.version, track.base),
            "measured_at": "2026-11-20",
            "note": "two cores",
            "result": run_result(seed, 2.0, validation=validation).model_dump(mode="json"),
        }
        for run_id, seed, validation in runs
    ]
    (folder / "debug/results.json").write_text(json.dumps({"runs": results}))


def load(engine: Engine, folder: Path) -> int:
    with write_session(engine) as session:
        return import_baselines(session, load_tracks(folder), folder)


def test_measured_runs_come_in_with_key_cost_and_origin(
    engine: Engine, folder: Path, session: Session
) -> None:
    assert load(engine, folder) == 2
    run = session.get_one(Run, "debug-a")
    key = run_result().provenance.data.comparability_key("debug", 1)
    assert (run.origin, run.seed, run.note) == ("project", 1000, "two cores")
    assert (run.val_loss, run.cost_usd, run.comparability_key) == (2.0, 0.0004, key)
    assert session.exec(select(SubmissionRow.id)).all() == ["s_baseline_debug_1"]
    assert session.exec(select(Job)).all() == []


def test_the_board_starts_with_the_key_of_the_projects_runs(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    load(engine, folder)
    submit_and_finish(client, "Rate", {"optimizer.muon.learning_rate": 0.02}, validation="e")
    board = client.get(f"{API}/tracks/debug/leaderboard").json()
    assert [known["num_baseline_runs"] for known in board["keys"]] == [2, 0]
    assert board["keys"][0]["latest_at"] == "2026-11-20T00:00:00Z"
    assert board["baseline"]["result"]["num_runs"] == 2


def test_new_runs_of_the_project_judge_what_was_measured_before(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    load(engine, folder)
    submit_and_finish(client, "Rate", {"optimizer.muon.learning_rate": 0.02}, val_loss=1.5)
    board = f"{API}/tracks/debug/leaderboard"
    assert client.get(board).json()["rows"][0]["verdict"] is None
    measure(folder, [(f"debug-{seed}", seed, "b") for seed in range(1002, 1005)])
    assert load(engine, folder) == 3
    assert client.get(board).json()["rows"][0]["verdict"]["verdict"] == "better"


def test_a_second_start_brings_nothing_twice(
    engine: Engine, folder: Path, session: Session
) -> None:
    load(engine, folder)
    assert load(engine, folder) == 0
    measure(folder, [("debug-a", 1000, "b"), ("debug-b", 1001, "b"), ("debug-c", 1002, "b")])
    assert load(engine, folder) == 1
    assert len(session.exec(select(Run)).all()) == 3


def test_a_submission_of_the_baseline_gets_the_next_free_seed(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    load(engine, folder)
    receipt = submit(client, "Baseline again")
    assert (receipt.seed, receipt.duplicate_of) == (1002, "s_baseline_debug_1")


def test_a_seed_that_a_worker_has_run_already_is_kept_beside_the_projects(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    assert submit(client).seed == 1000
    assert load(engine, folder) == 2
    assert submit(client).seed == 1002


def test_one_seed_on_different_data_is_two_runs(
    engine: Engine, folder: Path, session: Session
) -> None:
    measure(folder, [("debug-a", 1000, "b"), ("debug-mirror", 1000, "e")])
    assert load(engine, folder) == 2
    assert len(set(session.exec(select(Run.comparability_key)).all())) == 2


def test_the_status_of_a_projects_run_leads_to_the_baselines_page(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    load(engine, folder)
    status = client.get(f"{API}/runs/debug-a").json()
    assert (status["state"], status["submission_id"], status["name"]) == (
        "succeeded",
        "s_baseline_debug_1",
        "Baseline",
    )
    assert status["url"] == "http://board.test/submissions/s_baseline_debug_1"


def test_the_projects_baseline_has_a_page_is_compared_and_built_on(
    client: TestClient, engine: Engine, folder: Path
) -> None:
    load(engine, folder)
    page = client.get("/submissions/s_baseline_debug_1")
    assert page.status_code == 200
    assert "two cores" in page.text
    yaml = client.get(f"{API}/submissions/s_baseline_debug_1/yaml").text
    assert client.post(f"{API}/submissions/s_baseline_debug_1/cancel").status_code == 404
    changed = submit_and_finish(client, "Rate", {"optimizer.muon.learning_rate": 0.02})
    pair = {"a": "s_baseline_debug_1", "b": changed.submission_id}
    assert client.get("/compare", params=pair).status_code == 200
    copied = {"Idempotency-Key": "copied-yaml", "Content-Type": "application/yaml"}
    again = client.post(f"{API}/submissions", content=yaml, headers=copied)
    assert again.json()["duplicate_of"] == "s_baseline_debug_1"
    child = yaml + "built_on: s_baseline_debug_1\noverrides: {model.dropout: 0.1}\n"
    built = client.post(
        f"{API}/submissions", content=child, headers=copied | {"Idempotency-Key": "built-on-it"}
    )
    assert built.status_code == 201


def test_a_results_file_that_does_not_follow_its_schema_is_refused(
    engine: Engine, folder: Path
) -> None:
    (folder / "debug/results.json").write_text('{"runs": [{"run_id": "x"}]}')
    with pytest.raises(InvalidInput, match="measured_at"):
        load(engine, folder)


def test_runs_of_another_config_than_the_base_are_refused(engine: Engine, folder: Path) -> None:
    config = folder / "debug/config.yaml"
    config.write_text(config.read_text().replace("tokens: ", "tokens: 1"))
    with pytest.raises(InvalidInput, match="raise the track's version and measure anew"):
        load(engine, folder)
