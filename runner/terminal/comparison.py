"""What `runner compare` prints."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.schema.compared_settings import ComparedSetting
from runner.runs.comparison import Comparison, Figure
from runner.terminal.figures import write_quantity, write_setting
from runner.terminal.verdict import compared_sentence


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Settings that differ, figures, questions, and whether any is better than the first."""
    names = [escape(side.name) for side in comparison.sides]
    if comparison.settings:
        settings = Table("setting", *names, title="Settings that differ")
        for row in comparison.settings:
            settings.add_row(row.path, *_setting_cells(row))
        console.print(settings)
    else:
        console.print("No setting differs.")
    figures = Table("figure", *names, title="Figures, with differences to the first")
    for figure in comparison.figures:
        figures.add_row(figure.label, *_figure_cells(figure))
    console.print(figures)
    if comparison.agreement:
        _print_agreement(console, comparison)
    first = comparison.sides[0].name
    for side in comparison.sides:
        if side.judgement is not None:
            console.print(escape(compared_sentence(first, side.name, side.judgement)))
    if comparison.notice:
        console.print(escape(comparison.notice))


def _setting_cells(row: ComparedSetting) -> Iterator[str]:
    for value, present in zip(row.values, row.present, strict=True):
        yield escape(write_setting(value)) if present else "absent"


def _figure_cells(figure: Figure) -> Iterator[str]:
    for value, delta in zip(figure.values, figure.deltas, strict=True):
        written = write_quantity(figure.quantity, value)
        if delta is not None:
            written += f" ({write_quantity(figure.quantity, delta, signed=True)})"
        yield written


def _print_agreement(console: Console, comparison: Comparison) -> None:
    a, b = (escape(side.name) for side in comparison.sides[:2])
    heads = ("both", f"only {a}", f"only {b}", "neither", "p (McNemar)")
    table = Table("task", *heads, title="Questions right by acc_norm")
    for row in comparison.agreement:
        if not row.notice:
            counts = (row.both, row.only_a, row.only_b, row.neither)
            table.add_row(row.task, *(f"{count:,}" for count in counts), f"{row.p_value:.3g}")
    if table.row_count:
        console.print(table)
    for notice in dict.fromkeys(row.notice for row in comparison.agreement if row.notice):
        console.print(escape(notice))
