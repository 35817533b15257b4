"""How fast everything is: `python -m benchmarks.speed --mirror mirror.yaml`, on any GPU.

Prints one table in Markdown, each row as soon as it is measured, and progress to stderr. Every
measurement is a process of its own, and the compilers' caches are empty before the first. A row
whose measurement failed says so, and the others go on. docs/measurement.md says what rows mean.
"""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.child import Child, ChildFailed
from benchmarks.measurement import Figures
from benchmarks.speed_plan import FULL, QUICK, Group, plan
from benchmarks.speed_rows import ROWS, Cells

LIMIT_SECONDS = 900.0
"""Of one measurement."""
COLUMNS = ("what", "measured", "against", "ratio", "how")


class Table:
    """Prints rows as their measurements come in, and keeps all of it as JSON."""

    def __init__(self, rows: Iterable[str], num_seeds: int, json_file: Path | None) -> None:
        self._waiting = list(rows)
        self._num_seeds = num_seeds
        self._json_file = json_file
        self._figures: dict[str, Figures] = {}
        self._errors: dict[str, str] = {}
        self._printed: dict[str, Cells] = {}
        _print_row(COLUMNS)
        _print_row(["---"] * len(COLUMNS))

    def add(self, name: str, outcome: Figures | ChildFailed) -> None:
        """Take in a measurement, and print what it completes."""
        if isinstance(outcome, ChildFailed):
            self._errors[name] = str(outcome)
        else:
            self._figures[name] = outcome
        settled = self._figures.keys() | self._errors.keys()
        for row in list(self._waiting):
            if settled.issuperset(ROWS[row].needs(self._num_seeds)):
                self._waiting.remove(row)
                self._printed[row] = self._cells(row)
                _print_row([ROWS[row].title, *self._printed[row]])
        if self._json_file is not None:
            self._json_file.write_text(self._json())

    def _cells(self, row: str) -> Cells:
        needs = ROWS[row].needs(self._num_seeds)
        failed = [f"{name}: {self._errors[name]}" for name in needs if name in self._errors]
        return Cells("failed", note="; ".join(failed)) if failed else ROWS[row].cells(self._figures)

    def _json(self) -> str:
        document = {
            "rows": {row: cells._asdict() for row, cells in self._printed.items()},
            "figures": {name: figures.model_dump() for name, figures in self._figures.items()},
            "errors": self._errors,
        }
        return json.dumps(document, indent=2) + "\n"


def main(
    mirror: Annotated[
        Path | None, typer.Option(exists=True, help="Local stand-ins for data of the hub.")
    ] = None,
    only: Annotated[str, typer.Option(help="Rows, with commas between them.")] = ",".join(ROWS),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each path for the loss.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file as well.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few steps of `debug`, to see that all of it runs.")
    ] = False,
) -> None:
    """Measure speed, memory and loss of the project on this machine."""
    chosen = _rows(only)
    mirror = mirror.resolve() if mirror else None
    with TemporaryDirectory(prefix="speed") as folder:
        root = Path(folder)
        scale = QUICK if quick else FULL
        table = Table(chosen, seeds, json_file)
        _measure(plan(scale, chosen, seeds, mirror, root / "tokens"), root, table)


def _rows(only: str) -> list[str]:
    chosen = [name.strip() for name in only.split(",")]
    for name in chosen:
        if name not in ROWS:
            message = f"there is no row {name!r}; rows are {', '.join(ROWS)}"
            raise typer.BadParameter(message, param_hint="--only")
    return [name for name in ROWS if name in chosen]


def _measure(groups: Iterable[Group], folder: Path, table: Table) -> None:
    with ExitStack() as stack:
        background: dict[str, Child] = {}
        for group in groups:
            children: dict[str, Child] = {}
            for name, work in group.works.items():
                typer.echo(f"{name} …", err=True)
                child = Child(work, folder / name.replace(" ", "_"), folder / "caches")
                children[name] = stack.enter_context(child)
            if group.is_background:
                background |= children
            else:
                _collect(children, table)
        _collect(background, table)


def _collect(children: dict[str, Child], table: Table) -> None:
    for name, child in children.items():
        outcome: Figures | ChildFailed
        try:
            outcome = child.figures(LIMIT_SECONDS)
            typer.echo(f"{name}: {child.seconds:.0f} s", err=True)
        except ChildFailed as error:
            outcome = error
            typer.echo("\n".join([f"{name} failed:", *child.log_tail()]), err=True)
        table.add(name, outcome)


def _print_row(cells: Iterable[str]) -> None:
    # A stroke would end the cell.
    typer.echo("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")


if __name__ == "__main__":
    typer.run(main)
