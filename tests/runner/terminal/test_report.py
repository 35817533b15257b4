"""Tables that commands print."""

import io

import pytest
from rich.console import Console

from core.estimate.cost import Estimate
from runner.api.answers import Board
from runner.terminal.report import estimate_rows, print_board, result_rows
from tests.runner import examples

FIGURES = {
    "num_runs": 1,
    "val_loss": 2.5,
    "val_accuracy": 0.25,
    "val_perplexity": 12.18,
    "train_seconds": 90.0,
    "cost_usd": None,
}


IDENTITY = "s_4k7m2q5xwp"


def row(name: str, rank: int | None, delta: float | None) -> dict:
    return {
        "rank": rank,
        "submission_id": "s_1",
        "name": name,
        "author": "me",
        "result": FIGURES,
        "delta": delta,
        "a_field_of_tomorrow": 1,
    }


@pytest.fixture
def printed():
    stream = io.StringIO()
    return stream, Console(file=stream, width=160)


def test_a_board_shows_rank_difference_and_what_is_missing(printed):
    stream, console = printed
    run = {
        "run_id": "r_9",
        "seed": 1000,
        "state": "failed",
        "failure": "diverged",
        "failure_message": "loss is nan",
    }
    board = Board.model_validate(
        {
            "track": "debug",
            "key": "abc",
            "baseline": row("Baseline", None, None),
            "rows": [row("[red]Bold idea", 1, -0.125)],
            "active": [],
            "ended": [{"name": "Too bold", "run": run}],
        }
    )
    print_board(console, board)
    text = stream.getvalue()
    assert "[red]Bold idea" in text
    assert "-0.1250" in text
    assert "failed: Too bold (r_9): diverged: loss is nan" in text
    assert text.index("Baseline") < text.index("Bold idea")


def test_a_narrow_terminal_gets_whole_ids_and_losses():
    stream = io.StringIO()
    rows = [{**row("A name of a length that people choose", 1, -0.125), "submission_id": IDENTITY}]
    board = {"track": "debug", "key": "abc", "baseline": None, "active": [], "ended": []}
    print_board(Console(file=stream, width=80), Board.model_validate({**board, "rows": rows}))
    text = stream.getvalue()
    assert IDENTITY in text
    assert "2.5000" in text
    assert "-0.1250" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_empty_board_says_so(printed):
    stream, console = printed
    nothing = {"track": "debug", "key": None, "baseline": None}
    print_board(console, Board.model_validate({**nothing, "rows": [], "active": [], "ended": []}))
    assert "none yet" in stream.getvalue()


def test_task_scores_come_with_their_standard_error():
    rows = dict(result_rows(examples.result(), cost_usd=0.0011))
    # sqrt(0.5 × 0.5 / 100) = 0.05
    assert rows["synthetic_world"].startswith("acc 50.00 ± 5.00 %")
    assert rows["cost"] == "$0.0011"


ESTIMATE = Estimate(
    num_parameters=2_000,
    num_active_parameters=1_000,
    training_flops_per_token=1e3,
    training_flops=1.5e15,
    memory_bytes=7 * 2**30,
    memory_parts={"weights": 2 * 2**30, "activations": 4 * 2**30, "loss": 2**30},
    train_seconds={"H200": 17.0, "A100": 60.0},
    train_seconds_range={"H200": (14.0, 20.0), "A100": (40.0, 90.0)},
    train_tokens={"H200": 8e6, "A100": 8e6},
    train_tokens_range={"H200": (8e6, 8e6), "A100": (8e6, 8e6)},
    measured_gpus=("H200",),
    cost_usd={"H200": 0.04, "A100": 0.02},
)


def test_an_estimate_shows_ranges_and_what_is_unmeasured():
    rows = dict(estimate_rows(ESTIMATE))
    assert rows["parameters"] == "2,000 (1,000 active)"
    assert rows["memory, roughly"] == (
        "7.0 GiB: activations 4.0 GiB, weights 2.0 GiB, loss 1.0 GiB, …"
    )
    assert rows["training on H200"] == "17 s (14 s to 20 s), $0.0400"
    assert rows["training on A100"] == "1 min 0 s (40 s to 1 min 30 s), $0.0200, unmeasured"
    assert "vendors' rates" in rows["unmeasured"]


def test_an_estimate_of_measured_gpus_explains_nothing():
    everywhere = ESTIMATE.model_copy(update={"measured_gpus": ("H200", "A100")})
    assert "unmeasured" not in dict(estimate_rows(everywhere))


def test_an_estimate_in_dollars_shows_the_tokens_that_they_buy():
    tokens = {"H200": 2e9, "A100": 1e9}
    ranges = {"H200": (1.5e9, 2.5e9), "A100": (0.6e9, 1.6e9)}
    bought = ESTIMATE.model_copy(update={"train_tokens": tokens, "train_tokens_range": ranges})
    row = dict(estimate_rows(bought))["training on H200"]
    assert row == "2,000 million tokens (1,500 to 2,500) in 17 s, $0.0400"
