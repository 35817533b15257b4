from pathlib import Path

import pytest

from benchmarks import network
from benchmarks.chaos import Author
from benchmarks.network import Cut, Scenario, examine, try_cut

POINT = {"step": 1, "val_loss": 2.0}


def test_a_run_survives_a_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SECONDS_BEFORE", 1.0)
    monkeypatch.setattr(network, "SECONDS_AFTER", 10.0)
    outcome = try_cut(Scenario(Cut.SILENT, 1.0), tmp_path)
    assert outcome.problems == ()
    assert (outcome.attempts, outcome.num_steps, outcome.trained_again) == (1, 20, 0)
    assert outcome.row.startswith("| silent for 1 s | ")


@pytest.mark.parametrize(
    ("state", "points", "problem"),
    [
        ("failed", [POINT], "r_1 failed: lost"),
        ("succeeded", [POINT] * 2, "r_1 has 2 of 1 points"),
        ("succeeded", [POINT | {"val_loss": 3.0}], "r_1 has another loss in its curve than"),
    ],
)
def test_what_is_lost_or_doubled_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, points: list[object], problem: str
) -> None:
    answers = {
        "/runs/r_1": {
            "state": state,
            "attempt": 1,
            "failure_message": "lost",
            "result": {"val_loss": 2.0},
        },
        "/runs/r_1/metrics": {"points": points},
        "/ledger/check": {"faults": ["the chain is broken."]},
    }
    monkeypatch.setattr(network, "read", lambda _, path: answers[path])
    monkeypatch.setattr("benchmarks.chaos.read", lambda _, path: answers[path])
    run = tmp_path / "runs" / "runs" / "r_1"
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text("{}\n{}\n{}\n")
    author = Author("http://127.0.0.1:1", accepted={"s_1": "r_1"})
    outcome = examine(Scenario(Cut.DROPPED, 1.0), author, tmp_path, 0.5, num_steps=1)
    assert outcome.problems[0] == "the chain is broken."
    assert outcome.problems[1].startswith(problem)
    assert outcome.trained_again == 2
