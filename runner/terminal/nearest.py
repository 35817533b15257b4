"""Experiments that were measured near a config, as a table."""

from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.api.answers import NearestExperiments, NearExperiment, Outcome
from runner.nearest import NearestAnswer
from runner.terminal.figures import write_quantity, write_setting
from runner.terminal.verdict import write_interval, write_label

COLUMNS = {
    "submission": 0,
    "name": 100,
    "author": 130,
    "differs: here → there": 0,
    "difference": 0,
    "99 % interval": 120,
    "verdict": 0,
}
"""Columns, and how wide a terminal must be to have them."""
NUMBERS = ("difference", "99 % interval")
"""Columns that end at the right."""


def print_nearest(console: Console, answer: NearestAnswer, server_url: str) -> None:
    """The nearest experiments, or in one line why they are not known."""
    if answer.found is None:
        console.print(f"nearest measured: {answer.notice}", style="dim", markup=False)
        return
    if answer.found.equal is not None:
        console.print(equal_sentence(answer.found.equal, server_url), markup=False)
    if answer.found.nearest:
        console.print(_table(answer.found, console.width))
    elif answer.found.equal is None:
        console.print("nearest measured: nothing was measured on this track yet")


def equal_sentence(equal: Outcome, server_url: str) -> str:
    """That the experiment is known, and what another submission of it does."""
    seeds = "1 seed" if equal.num_runs == 1 else f"{equal.num_runs} seeds"
    said = f"Already measured: {equal.name} by {equal.author}, {seeds}"
    if not equal.num_runs:
        said = f"Already submitted: {equal.name} by {equal.author}, without a result on this board"
    if equal.delta is not None:
        said += f", {_write_delta(equal)} nats against the baseline, {_write_verdict(equal)}"
    page = f" {server_url}/submissions/{equal.submission_id}" if equal.submission_id else ""
    return f"{said}. Submitting this adds a seed.{page}"


def _table(found: NearestExperiments, width: int) -> Table:
    """The columns for which a terminal is wide enough."""
    table = Table(title="Nearest measured")
    for name, least in COLUMNS.items():
        if width >= least:
            justify: Literal["left", "right"] = "right" if name in NUMBERS else "left"
            whole = name in ("submission", "verdict", *NUMBERS)
            table.add_column(name, justify=justify, no_wrap=whole, overflow="fold")
    for near in found.nearest:
        cells = _cells(near)
        table.add_row(*(escape(cells[str(column.header)]) for column in table.columns))
    return table


def _cells(near: NearExperiment) -> dict[str, str]:
    return {
        "submission": near.submission_id or "–",
        "name": near.name,
        "author": near.author,
        "differs: here → there": _write_changes(near),
        "difference": _write_delta(near),
        "99 % interval": write_interval(near.verdict) if near.verdict else "",
        "verdict": _write_verdict(near),
    }


def _write_changes(near: NearExperiment) -> str:
    return "\n".join(
        f"{change.path} {write_setting(change.before)} → {write_setting(change.after)}"
        for change in near.changes
    )


def _write_delta(outcome: Outcome) -> str:
    return write_quantity("nats", outcome.delta, signed=True)


def _write_verdict(outcome: Outcome) -> str:
    if outcome.withdrawn is not None:
        return "withdrawn"
    return write_label(outcome.verdict) if outcome.verdict else "not judged yet"
