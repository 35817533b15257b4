import typer
from typer.testing import CliRunner

from benchmarks import chaos
from benchmarks.chaos import Author, faults


def test_nothing_is_lost_though_each_process_is_killed():
    app = typer.Typer()
    app.command()(chaos.main)
    answer = CliRunner().invoke(app, ["--kills", "1", "--repeats", "1"])
    assert answer.exit_code == 0, answer.output
    assert "| faults | 0 |" in answer.output


def test_what_is_lost_or_doubled_is_named(monkeypatch):
    answers = {
        "/submissions?limit=100&offset=0": {"submissions": [{"submission_id": "s_2"}] * 2},
        "/submissions?limit=100&offset=2": {"submissions": []},
        "/runs/r_1/metrics": {"points": [{"step": 1, "val_loss": 2.0}] * 2},
        "/ledger/check": {"faults": ["the chain is broken."]},
    }
    monkeypatch.setattr(chaos, "read", lambda _, path: answers[path])
    author = Author("http://127.0.0.1:1", accepted={"s_1": "r_1"})
    status = {"state": "succeeded", "failure": None, "result": {"val_loss": 3.0}}
    assert faults(author, {"r_1": status}) == [
        "s_1 is there 0 times",
        "s_2 was never acknowledged",
        "r_1 succeeded and has 2 points",
        "r_1 has another loss in its curve than in its result",
        "r_1 has a step twice",
        "the chain is broken.",
    ]
