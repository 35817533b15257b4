"""The tables of `runner compare`."""

import io

from rich.console import Console

from runner.runs.comparison import Comparison
from runner.terminal.comparison import print_comparison
from tests.runner import examples


def printed(**parts) -> list[str]:
    comparison = {
        "sides": [{"name": "Old"}, {"name": "[b]New"}],
        "notice": "",
        "settings": [],
        "figures": [],
    }
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    print_comparison(console, Comparison.model_validate(comparison | parts))
    return stream.getvalue().splitlines()


def cells(lines: list[str], head: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"│ {head}"))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def test_a_comparison_ends_with_whether_one_is_better():
    new = {"name": "[b]New", "judgement": examples.verdict()}
    last = printed(sides=[{"name": "Old"}, new])[-1]
    assert last == "[b]New is better than Old: -0.0123 nats [-0.0200, -0.0046], 3 runs against 5."


def test_zero_false_and_absent_are_written_apart():
    sides = [{"name": name} for name in "abcd"]
    row = {"path": "x", "values": [0, False, None, None], "present": [True, True, True, False]}
    assert cells(printed(sides=sides, settings=[row]), "x") == ["0", "false", "not set", "absent"]


def test_differences_stand_behind_the_values():
    figure = {"label": "Loss", "quantity": "nats", "values": [2, 1.5], "deltas": [None, -0.5]}
    assert cells(printed(figures=[figure]), "Loss") == ["2.0000", "1.5000 (-0.5000)"]


def test_questions_are_counted_or_said_not_to_be_kept():
    row = {"both": 1200, "only_a": 3, "only_b": 9, "neither": 0, "p_value": 0.146}
    lines = printed(
        agreement=[
            {"task": "arc_easy", "notice": "", **row},
            {"task": "hellaswag", "notice": "Not kept.", **row},
        ]
    )
    assert cells(lines, "arc_easy") == ["1,200", "3", "9", "0", "0.146"]
    assert not any("hellaswag" in line for line in lines)
    assert lines[-1] == "Not kept."
