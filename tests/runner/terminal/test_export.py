"""What an export says of itself."""

from rich.console import Console

from runner.export.site import ExportSummary
from runner.terminal.export import print_export


def said(summary: ExportSummary) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_export(console, summary, max_pages=10)
    return capture.get()


def test_a_whole_export_is_one_line() -> None:
    assert said(ExportSummary(1, 2, 2_540_000, 0, ())) == "1 page and 2 files, 2.5 MB.\n"


def test_what_is_missing_is_told_and_a_long_list_is_cut() -> None:
    faults = tuple(f"/p{number} (404)" for number in range(7))
    text = said(ExportSummary(10, 1, 0, 3, faults))
    assert "Left out at least 3 pages beyond the first 10;" in text
    assert "did not give: /p0 (404), /p1 (404), /p2 (404), /p3 (404), /p4 (404) and 2 more." in text
