"""What an export came to, in words."""

from rich.console import Console

from runner.export.site import ExportSummary

SHOWN_FAULTS = 5
MEGABYTE = 1_000_000


def print_export(console: Console, summary: ExportSummary, max_pages: int) -> None:
    """Print how much was written, and what was not."""
    console.print(
        f"{_counted(summary.num_pages, 'page')} and {_counted(summary.num_files, 'file')}, "
        f"{summary.num_bytes / MEGABYTE:.1f} MB.",
        markup=False,
    )
    if summary.num_left_out:
        console.print(
            f"Left out at least {_counted(summary.num_left_out, 'page')} beyond the first "
            f"{max_pages}; links to them are plain text. More: --max-pages.",
            markup=False,
        )
    if summary.faults:
        shown = ", ".join(summary.faults[:SHOWN_FAULTS])
        more = len(summary.faults) - SHOWN_FAULTS
        rest = f" and {more} more" if more > 0 else ""
        console.print(f"The server did not give: {shown}{rest}.", markup=False)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
