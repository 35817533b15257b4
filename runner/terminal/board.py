"""A track's board as a table."""

from collections.abc import Iterator
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.api.answers import Board, BoardRow
from runner.terminal.figures import write_duration, write_quantity
from runner.terminal.verdict import write_interval, write_label, write_rerun, write_withdrawal

TEXTS = ("name", "author")
"""Columns that may wrap."""
WORDS = ("rank", "submission", *TEXTS, "verdict")
"""Columns that start at the left; numbers end at the right."""
COLUMNS = {
    "rank": 0,
    "submission": 0,
    "name": 0,
    "author": 120,
    "val loss": 0,
    "difference": 0,
    "verdict": 0,
    "99 % interval": 110,
    "runs": 120,
    "accuracy": 150,
    "training": 160,
    "cost": 160,
    "perplexity": 180,
}
"""Columns, and how wide a terminal must be to have them."""


def print_board(console: Console, board: Board) -> None:
    """Experiments by rank, the baseline above them, and what is on its way.

    A narrow terminal gets ids, losses and verdicts whole and the rest not at all.
    """
    table = Table(title=f"{board.track}, comparability key {board.key or 'none yet'}")
    for name, width in COLUMNS.items():
        if console.width >= width:
            justify: Literal["left", "right"] = "left" if name in WORDS else "right"
            table.add_column(name, justify=justify, no_wrap=name not in TEXTS)
    if board.baseline is not None:
        _add_row(table, {**_cells(board.baseline), "difference": "baseline", "verdict": ""})
    for row in board.rows:
        _add_row(table, _cells(row), "dim strike" if row.withdrawn else "")
    console.print(table)
    for line in (*_notes(board), *_runs_without_result(board)):
        console.print(escape(line))


def _add_row(table: Table, cells: dict[str, str], style: str = "") -> None:
    table.add_row(*(escape(cells[str(column.header)]) for column in table.columns), style=style)


def _cells(row: BoardRow) -> dict[str, str]:
    result, verdict = row.result, row.verdict
    rank = "–" if row.rank is None else str(row.rank)
    label = write_label(verdict) if verdict else "none yet"
    return {
        "rank": f"={rank}" if row.is_tied else rank,
        "submission": row.submission_id or "–",
        "name": row.name,
        "author": row.author,
        "val loss": write_quantity("nats", result.val_loss),
        "difference": write_quantity("nats", row.delta, signed=True),
        "verdict": "withdrawn" if row.withdrawn else label,
        "99 % interval": write_interval(verdict) if verdict else "",
        "accuracy": write_quantity("share", result.val_accuracy),
        "perplexity": write_quantity("perplexity", result.val_perplexity),
        "runs": str(result.num_runs),
        "training": write_duration(result.train_seconds),
        "cost": write_quantity("dollars", result.cost_usd),
    }


def _notes(board: Board) -> Iterator[str]:
    """What the table has no place for: ties, missing verdicts, refutations, withdrawals, reruns."""
    if any(row.is_tied for row in board.rows):
        yield "=: cannot be told apart from the row above."
    if board.pending and any(not (row.verdict or row.withdrawn) for row in board.rows):
        yield f"Where there is no verdict yet: {board.pending}"
    for row in board.rows:
        named = f"{row.name} ({row.submission_id})" if row.submission_id else row.name
        if row.withdrawn is not None:
            yield f"withdrawn: {named} {write_withdrawal(row.withdrawn)}"
        elif row.verdict is not None and row.verdict.refuted:
            yield f"refuted: {named}: {row.verdict.refuted}"
        if not row.verified:
            yield f"unverified: {named}: no trusted worker has measured the same yet."
        yield from (f"rerun: {named} {write_rerun(note)}" for note in row.reruns)


def _runs_without_result(board: Board) -> Iterator[str]:
    for waiting in board.active:
        run = waiting.run
        yield f"{run.state}: {waiting.name} ({run.run_id}, seed {run.seed})"
    for ended in board.ended:
        run = ended.run
        yield f"{run.state}: {ended.name} ({run.run_id}): {run.failure}: {run.failure_message}"
