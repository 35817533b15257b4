"""The queue as a table."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.api.answers import Queue, QueueEntry
from runner.terminal.forecast import write_soon

COLUMNS = (
    "place",
    "state",
    "submission",
    "name",
    "author",
    "track",
    "run",
    "why",
    "progress",
    "worker",
    "should start",
)


def print_queue(console: Console, queue: Queue) -> None:
    """Running and waiting jobs, in order, and why, where it is not a submission's own run."""
    entries = (*queue.running, *queue.queued)
    if not entries:
        console.print("The queue is empty.")
        return
    table = Table(*COLUMNS)
    for entry in entries:
        share = f" {entry.completed}/{entry.total}" if entry.total else ""
        doing = f"{entry.phase.value.replace('_', ' ')}{share}" if entry.phase else ""
        place, start = _place_and_start(entry)
        table.add_row(
            place,
            entry.state.value,
            entry.submission_id or "–",
            escape(entry.name),
            escape(entry.author),
            entry.track,
            entry.run_id,
            "" if entry.purpose == "submission" else escape(entry.purpose),
            doing,
            escape(entry.worker or ""),
            start,
        )
    console.print(table)
    if queue.alarm is not None:
        console.print(f"Alarm: {queue.alarm.message}", markup=False)


def _place_and_start(entry: QueueEntry) -> tuple[str, str]:
    """Empty for what runs; a dash for a start that nobody can tell."""
    forecast = entry.forecast
    if forecast is None or forecast.position is None:
        return "", ""
    start = write_soon(forecast.starts_at, forecast.as_of) if forecast.starts_at else "–"
    return str(forecast.position), start
