"""The board's table."""

import io

import pytest
from rich.console import Console

from runner.api.answers import Board
from runner.terminal.board import print_board
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


def row(name: str, rank: int | None, delta: float | None, **changes: object) -> dict:
    values = {
        "rank": rank,
        "is_tied": False,
        "submission_id": "s_1",
        "name": name,
        "author": "me",
        "result": FIGURES,
        "delta": delta,
        "verdict": None,
        "verified": True,
        "withdrawn": None,
        "reruns": [],
        "a_field_of_tomorrow": 1,
    }
    return {**values, **changes}


def printed(width: int = 200, **changes: object) -> str:
    """A board as it is printed; without changes it is empty."""
    values = {
        "track": "debug",
        "key": "abc",
        "baseline": None,
        "rows": [],
        "pending": "",
        "active": [],
        "ended": [],
    }
    stream = io.StringIO()
    board = Board.model_validate({**values, **changes})
    print_board(Console(file=stream, width=width), board)
    return stream.getvalue()


def cells(text: str, name: str) -> list[str]:
    """The cells of the row that has a name, without the frame."""
    (line,) = [line for line in text.splitlines() if name in line and "│" in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_row_that_no_trusted_worker_verified_is_named():
    text = printed(rows=[row("Mine", 1, -0.5, verified=False), row("Other", 2, -0.4)])
    assert "unverified: Mine (s_1): no trusted worker has measured the same yet." in text
    assert "unverified: Other" not in text


def test_a_board_shows_rank_difference_and_what_is_missing():
    run = {
        "run_id": "r_9",
        "seed": 1000,
        "state": "failed",
        "failure": "diverged",
        "failure_message": "loss is nan",
    }
    text = printed(
        baseline=row("Baseline", None, None),
        rows=[row("[red]Bold idea", 1, -0.125)],
        ended=[{"name": "Too bold", "run": run}],
    )
    assert "[red]Bold idea" in text
    assert "-0.1250" in text
    assert cells(text, "Baseline")[5] == "baseline"
    assert "failed: Too bold (r_9): diverged: loss is nan" in text
    assert text.index("Baseline") < text.index("Bold idea")


def test_a_row_has_its_verdict_with_the_interval():
    text = printed(
        rows=[
            row("Best", 1, -0.0123, verdict=examples.verdict(is_record=True)),
            row("Open", 2, 0.001, verdict=examples.verdict(verdict="unresolved", high=0.01)),
        ]
    )
    assert cells(text, "Best")[5:8] == ["-0.0123", "better, record", "[-0.0200, -0.0046]"]
    assert cells(text, "Open")[6:8] == ["unresolved", "[-0.0200, +0.0100]"]
    assert "no verdict yet" not in text
    assert "cannot be told apart" not in text


def test_a_tie_is_marked_and_explained():
    text = printed(rows=[row("First", 1, -0.2), row("Second", 2, -0.1, is_tied=True)])
    assert cells(text, "First")[0] == "1"
    assert cells(text, "Second")[0] == "=2"
    assert "=: cannot be told apart from the row above." in text


def test_a_withdrawn_row_stays_with_its_reason_and_has_no_rank():
    note = {"reason": "A typo in the\nrate.", "requested_by": "me", "at": "2026-01-01T00:00:00Z"}
    text = printed(
        pending="The baseline has 2 of the 5 runs that a verdict needs.",
        rows=[row("Gone", None, -0.1, verdict=examples.verdict(), withdrawn=note)],
    )
    assert cells(text, "Gone ")[0] == "–"
    assert cells(text, "Gone ")[5:7] == ["-0.1000", "withdrawn"]
    assert "withdrawn: Gone (s_1) by me: A typo in the rate." in text
    assert "2 of the 5" not in text


def test_who_asked_for_a_rerun_is_named_with_what_came_out():
    done = {"requested_by": "ada", "before": "unresolved", "after": "better"}
    waits = {"requested_by": "bob", "before": None, "after": None}
    text = printed(rows=[row("Gain", 1, -0.1, reruns=[waits, done])])
    assert "rerun: Gain (s_1) by ada: unresolved → better" in text
    assert "rerun: Gain (s_1) by bob: none → not yet known" in text


def test_what_is_refuted_is_said_in_full():
    lost = examples.verdict(verdict="unresolved", refuted="Better after 1 run, unresolved after 3.")
    text = printed(rows=[row("Lucky", 1, -0.01, verdict=lost)])
    assert cells(text, "Lucky ")[6] == "unresolved"
    assert "refuted: Lucky (s_1): Better after 1 run, unresolved after 3." in text


def test_missing_verdicts_come_with_the_reason():
    pending = "The baseline has 2 of the 5 runs that a verdict needs."
    text = printed(pending=pending, rows=[row("New", 1, None)])
    assert cells(text, "New ")[6] == "none yet"
    assert f"Where there is no verdict yet: {pending}" in text


@pytest.mark.parametrize("width", [80, 110, 120, 150, 160, 180])
def test_every_width_gets_whole_ids_losses_and_verdicts(width):
    best = row(
        "A name of a length that people choose",
        1,
        -0.125,
        submission_id=IDENTITY,
        author="somebody",
        verdict=examples.verdict(is_record=True),
    )
    text = printed(width, rows=[best])
    for whole in (IDENTITY, "2.5000", "-0.1250", "better, record"):
        assert whole in text
    assert ("[-0.0200, -0.0046]" in text) == (width >= 110)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_an_empty_board_says_so():
    assert "none yet" in printed(key=None)
