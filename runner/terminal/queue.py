"""The queue as a table, or, on a narrow terminal, as a paragraph for each job."""

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

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
    rows = [_cells(entry) for entry in entries]
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*map(escape, row))
    if _width(console, table) <= console.width:
        console.print(table)
    else:
        for row in rows:
            _print_paragraph(console, row)
    num_more = (queue.num_queued or 0) - len(queue.queued)
    if num_more > 0:
        console.print(f"{num_more:,} more {'waits' if num_more == 1 else 'wait'} behind them.")
    if queue.alarm is not None:
        console.print(f"Alarm: {queue.alarm.message}", markup=False)


def _cells(entry: QueueEntry) -> tuple[str, ...]:
    """In the order of `COLUMNS`."""
    share = f" {entry.completed}/{entry.total}" if entry.total else ""
    doing = f"{entry.phase.value.replace('_', ' ')}{share}" if entry.phase else ""
    place, start = _place_and_start(entry)
    return (
        place,
        entry.state.value,
        entry.submission_id or "–",
        entry.name,
        entry.author,
        entry.track,
        entry.run_id,
        "" if entry.purpose == "submission" else entry.purpose,
        doing,
        entry.worker or "",
        start,
    )


def _width(console: Console, table: Table) -> int:
    """Columns that a table takes if nothing in it is cut or broken."""
    unbounded = console.options.update(max_width=10_000)
    return Measurement.get(console, unbounded, table).maximum


def _print_paragraph(console: Console, row: tuple[str, ...]) -> None:
    """A job where the terminal is too narrow for the table, whose ids would be cut."""
    place, state, submission, name, author, track, run, why, doing, worker, start = row
    head = f"{place}. {state}" if place else state
    console.print(f"{head} {submission} {name}", markup=False)
    details = [track, run, why, doing, worker and f"on {worker}", start and f"starts: {start}"]
    text = ", ".join(detail for detail in (author and f"by {author}", *details) if detail)
    console.print(Padding(Text(text), (0, 0, 0, 3)))


def _place_and_start(entry: QueueEntry) -> tuple[str, str]:
    """Empty for what runs; a dash for a start that nobody can tell."""
    forecast = entry.forecast
    if forecast is None or forecast.position is None:
        return "", ""
    start = write_soon(forecast.starts_at, forecast.as_of) if forecast.starts_at else "–"
    return str(forecast.position), start
