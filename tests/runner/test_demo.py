"""Parts of the demonstration."""

import socket

from runner.api.answers import Board
from runner.demo import example_files, free_port, unranked


def test_the_baseline_is_submitted_first():
    names = [file.name for file in example_files()]
    assert names[0] == "debug_baseline.yaml"
    assert len(names) == len(set(names)) > 1
    assert all(name.startswith("debug_") for name in names)


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_what_the_board_lacks_is_named():
    figures = {
        "num_runs": 1,
        "val_loss": 1.0,
        "val_accuracy": 1.0,
        "val_perplexity": 1.0,
        "train_seconds": 1.0,
        "cost_usd": None,
    }
    unjudged = {
        "is_tied": False,
        "verdict": None,
        "verified": True,
        "withdrawn": None,
        "delta": None,
    }
    common = {"submission_id": None, "author": "a", "result": figures, "reruns": [], **unjudged}
    board = Board.model_validate(
        {
            "track": "debug",
            "key": "k",
            "baseline": {"rank": None, "name": "Baseline", **common},
            "rows": [{"rank": 1, "name": "One", **common}],
            "pending": "",
            "active": [],
            "ended": [],
        }
    )
    assert list(unranked(board, ["Baseline", "One"])) == []
    (message,) = unranked(board, ["One", "Two"])
    assert message.startswith("The board does not rank Two")
