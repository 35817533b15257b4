import gzip
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from core.data.record_files import find_files, fingerprint_files, read_rows
from core.errors import DataUnavailable

LINES = b'{"text": "one", "n": 1}\n\n{"text": "two", "n": 2}'


def texts(path: Path) -> list[object]:
    return [row.fields["text"] for row in read_rows(path, ("text",))]


def test_json_lines_are_read_plain_gzipped_and_zstandard(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + LINES)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "d.jsonl.zst").write_bytes(zstandard.compress(LINES))
    for path in find_files(tmp_path):
        assert texts(path) == ["one", "two"], path


def test_several_zstandard_frames_are_read_as_one_file(tmp_path):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(LINES[:20]) + zstandard.compress(LINES[20:]))
    assert texts(path) == ["one", "two"]


def test_parquet_is_read_in_order_across_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    values = [f"text {n}" for n in range(2500)]
    pq.write_table(pa.table({"text": values, "n": range(2500)}), path, row_group_size=700)
    assert texts(path) == values


def test_rows_name_their_file_and_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    assert [row.where for row in read_rows(path, ("n",))] == [f"{path}, line 1", f"{path}, line 3"]


def test_a_text_file_is_one_row(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("first\nsecond\n")
    assert texts(path) == ["first\nsecond\n"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_missing_field_names_those_that_there_are(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"body": ["x"], "url": ["y"]}), path)
    else:
        path.write_text(json.dumps({"body": "x", "url": "y"}))
    with pytest.raises(DataUnavailable, match=r"has no field `text`; it has body, url\."):
        texts(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": ', "line 2: .*must be one JSON object"),
        (b"[1]", "line 2 holds a list"),
        (b'{"text": "\xff"}', "line 2: .*utf-8"),
        (b"[" * 100_000, "line 2: .*must be one JSON object"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line)
    with pytest.raises(DataUnavailable, match=message):
        texts(path)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".parquet"])
@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_file_is_named(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    rows = [f"{n * 7919 % 10007} {n}" for n in range(5000)]
    lines = "\n".join(json.dumps({"text": row}) for row in rows).encode()
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": rows}), path)
    else:
        path.write_bytes((gzip if suffix.endswith("gz") else zstandard).compress(lines))
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] if damage == "cut off" else b"\0" * half + whole[half:-9])
    with pytest.raises(DataUnavailable, match=r"a\.(jsonl|parquet).* (again)"):
        texts(path)


def test_a_folder_is_searched_in_sorted_order_without_hidden_files(tmp_path):
    for name in ("b/2.txt", "b/10.txt", "a.txt", ".hidden/c.txt", "b/.d.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path)]
    assert found == ["a.txt", "b/10.txt", "b/2.txt"]


def test_only_files_of_the_split_are_read_where_names_say_so(tmp_path):
    for name in ("test-0.jsonl", "train-0.jsonl", "train-1.jsonl"):
        (tmp_path / name).write_bytes(LINES)
    assert [path.name for path in find_files(tmp_path, "train")] == [
        "train-0.jsonl",
        "train-1.jsonl",
    ]
    with pytest.raises(DataUnavailable, match="no file of the split `validation`, only test-0"):
        find_files(tmp_path, "validation")


@pytest.mark.parametrize("name", ["missing", "picture.png", "empty"])
def test_a_path_without_rows_is_refused(tmp_path, name):
    (tmp_path / "picture.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataUnavailable, match=name):
        find_files(tmp_path / name)


def test_a_fingerprint_changes_with_a_byte_and_not_with_the_place(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_bytes(LINES)
    here = fingerprint_files(tmp_path / "here")
    assert here == fingerprint_files(tmp_path / "there")
    (tmp_path / "there" / "a.jsonl").write_bytes(LINES.replace(b"one", b"uno"))
    assert here != fingerprint_files(tmp_path / "there")


def test_a_large_archive_is_not_held_in_memory(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    line = json.dumps({"text": "x" * 1000}) + "\n"
    path.write_bytes(gzip.compress(line.encode() * 30_000, compresslevel=1))
    tracemalloc.start()
    count = sum(1 for _ in read_rows(path, ("text",)))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak_bytes < 10_000_000
