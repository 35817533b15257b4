import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.yaml_document import read_yaml, read_yaml_file

LIMIT = 64 * 1024


def refusal(text):
    with pytest.raises(InvalidInput) as error:
        read_yaml(text, LIMIT)
    return str(error.value)


def test_values_keep_their_types():
    text = "a: 1\nb: 1e-3\nc: .5\nd: yes\ne: ~\nf: 2026-11-01\ng: '1e-3'\nh: [1, x]\ni: -3\nj: 1.\n"
    assert read_yaml(text, LIMIT).value == {
        "a": 1,
        "b": 0.001,
        "c": 0.5,
        "d": True,
        "e": None,
        "f": "2026-11-01",
        "g": "1e-3",
        "h": [1, "x"],
        "i": -3,
        "j": 1.0,
    }


def test_lines_are_known_under_split_paths():
    document = read_yaml("a:\n  b.c: 1\n  d:\n    e: 2\n", LIMIT)
    assert document.lines[("a",)] == 1
    assert document.lines[("a", "b", "c")] == 2
    assert document.lines[("a", "d", "e")] == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "line 2: a: this key stands twice, first in line 1"),
        ("a: .nan\n", "not a finite number"),
        ("a: [1, -.inf]\n", "not a finite number"),
        ("a: 1e999\n", "not a finite number"),
        ("a: &x 1\nb: *x\n", "line 1: anchors and aliases"),
        ("a: !!python/object:os.system x\n", "the tag"),
        ("a: 1\n---\nb: 2\n", "only one document"),
        ("- 1\n", "must be a mapping"),
        ("", "is empty; it must be a mapping"),
        ("# nothing yet\n", "is empty"),
        ("a:\n\tb: 1\n", "line 2: not valid YAML: found character '\\t'"),
        ("a:\n\tb: 1\n", "indented by spaces"),
        ("a: 1\n\tb: 2\n", "indented by spaces"),
        ("just text", "must be a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("a: b: c\n", "line 1: not valid YAML"),
        ("{[1]: 2}", "a key must be text"),
        ('a: "\\ud800"\n', "line 1: a: an escape"),
        ('a:\n  "\\ud800": 1\n', "line 2: a: an escape"),
        ("a: 12:30\n", "in quotes if it is text"),
        ("a: \x07\n", "not valid YAML"),
        ("a: " + "9" * 5000, "too many digits"),
        ("a: 017\n", "leading 0"),
        ("[" * 30_000, "nested deeper than 20"),
        ("a: [" + "1, " * 6000 + "1]", "more than 5,000 values"),
        ("a: " + "x" * LIMIT, "at most 65,536 are allowed"),
    ],
)
def test_refusals_say_what_and_where(text, expected):
    assert expected in refusal(text)


def test_bytes_that_are_not_text_are_refused():
    assert "not UTF-8" in refusal(b"a: \xff")


def test_a_bomb_of_aliases_is_refused_at_once():
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    levels += [
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]" for i in range(9)
    ]
    start = time.perf_counter()
    assert "aliases" in refusal("\n".join(levels))
    assert time.perf_counter() - start < 1


def test_large_file_is_refused_without_reading_it_all(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: " + b"x" * 10_000_000)
    with pytest.raises(InvalidInput, match="10,000,003 bytes; at most 65,536"):
        read_yaml_file(path, LIMIT)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nothing\.yaml: No such file"):
        read_yaml_file(tmp_path / "nothing.yaml", LIMIT)
    with pytest.raises(InvalidInput, match="Is a directory"):
        read_yaml_file(tmp_path, LIMIT)


@settings(max_examples=300)
@given(
    st.text(
        alphabet=st.sampled_from(list("abc:-[]{}!&*#?|>'\"%@`,. \n\t0189eE_~<=\\")), max_size=60
    )
)
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidInput):
        assert isinstance(read_yaml(text, LIMIT).value, dict)
