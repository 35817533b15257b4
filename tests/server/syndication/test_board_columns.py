import re
from pathlib import Path

from server.syndication.board_columns import COLUMNS, board_columns

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "machine_readable.md"


def test_each_task_adds_its_scores_with_their_errors() -> None:
    added = [column.name for column in board_columns(["arc_easy"])[len(COLUMNS) :]]
    assert added == [
        "arc_easy_acc",
        "arc_easy_acc_stderr",
        "arc_easy_acc_norm",
        "arc_easy_acc_norm_stderr",
    ]


def test_no_two_columns_have_one_name() -> None:
    names = [column.name for column in board_columns(["arc_easy", "hellaswag"])]
    assert len(set(names)) == len(names)


def test_the_document_has_every_column_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(column.name, column.kind.value, column.description) for column in COLUMNS]
