import pytest

from core.errors import InvalidInput
from core.yaml_document import read_yaml
from server.drafts.author_line import with_author, without_author


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("track: x\nauthor:\nname: y\n", "track: x\nauthor: ada\nname: y\n"),
        ("track: x\n", "track: x\nauthor: ada\n"),
        ("---\ntrack: x", "---\ntrack: x\nauthor: ada\n"),
        ("name: |\n  author:\n", "name: |\n  author:\nauthor: ada\n"),
        ("track: x\nauthor: ada # me\n", "track: x\nauthor: ada # me\n"),
        # Nothing can be added to these, so that they are refused as they are.
        ("{track: x}\n", "{track: x}\n"),
        ("track: x\n...\n", "track: x\n...\n"),
        ("track: [", "track: ["),
        ("", ""),
    ],
)
def test_the_author_is_added_without_moving_a_line(text: str, expected: str) -> None:
    assert with_author(text, "ada") == expected


def test_without_an_author_nothing_is_added() -> None:
    assert with_author("track: x\n", "") == "track: x\n"


@pytest.mark.parametrize(
    "author", ["1e3", "true", "12", "a b", "a: b", "x\noverrides: {}", '"', "é", "#"]
)
def test_an_author_is_text_whatever_it_looks_like(author: str) -> None:
    assert read_yaml(with_author("track: x\n", author), 1000).value == {
        "track": "x",
        "author": author,
    }


@pytest.mark.parametrize("named", ["bob", "5", "[ada]"])
def test_two_authors_are_too_many(named: str) -> None:
    with pytest.raises(InvalidInput, match=r"line 2: author: .* is not allowed beside .*ada"):
        with_author(f"track: x\nauthor: {named}\n", "ada")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("track: x\nauthor: ada\nname: y\n", "track: x\nauthor: \nname: y\n"),
        ("author: >-\n  ada\n\ntrack: x\n", "author: \n\ntrack: x\n"),
        ("hypothesis: the author: ada\n", "hypothesis: the author: ada\n"),
    ],
)
def test_an_author_is_left_out_of_a_copy(text: str, expected: str) -> None:
    assert without_author(text) == expected
