"""What `runner reproduce` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.runs.reproduction import Difference, Reproduction
from runner.terminal.figures import write_quantity


def print_reproduction(console: Console, reproduction: Reproduction) -> None:
    """Data, what differs in code and machine, and the figures of both with their difference."""
    key = reproduction.their_key
    if reproduction.same_data:
        console.print(f"The data are the same: comparability key {key}.", markup=False)
    else:
        ours = reproduction.our_key
        console.print(f"The data differ: comparability key {key} there, {ours} here.", markup=False)
        _print_differences(console, "Data that differ", reproduction.data)
    if not reproduction.figures:
        return
    if reproduction.circumstances:
        _print_differences(console, "Code and machine that differ", reproduction.circumstances)
    else:
        console.print("Code, packages and machine are the same.")
    title = f"{reproduction.run_id}, seed {reproduction.seed}"
    table = Table("figure", "there", "here", "difference", title=title)
    for figure in reproduction.figures:
        table.add_row(
            figure.label,
            *(write_quantity(figure.quantity, value) for value in figure.values),
            write_difference(figure.deltas[1]),
        )
    console.print(table)


def write_difference(delta: float | None) -> str:
    """A difference to its last digit: `0` is exactly zero. Nothing for None."""
    if delta is None:
        return ""
    return f"{delta:+.3g}" if delta else "0"


def _print_differences(console: Console, title: str, differences: Sequence[Difference]) -> None:
    table = Table("what", "there", "here", title=title)
    for difference in differences:
        table.add_row(difference.name, escape(difference.theirs), escape(difference.ours))
    console.print(table)
