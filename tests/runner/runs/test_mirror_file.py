"""Reading the map of local stand-ins."""

import pytest

from core.errors import InvalidInput
from core.schema.mirror import Mirror
from runner.runs.mirror_file import read_mirror


def test_no_file_mirrors_nothing():
    assert read_mirror(None) == Mirror()


def test_relative_paths_start_from_the_files_folder(tmp_path):
    file, corpus, tokenizer = tmp_path / "mirror.yaml", tmp_path / "a.parquet", tmp_path / "t"
    corpus.write_bytes(b"")
    tokenizer.mkdir()
    file.write_text(
        f"datasets:\n  owner/name/subset: a.parquet\ntokenizers:\n  owner/t: {tokenizer}\n"
    )
    mirror = read_mirror(file)
    assert mirror.datasets == {"owner/name/subset": str(corpus)}
    assert mirror.tokenizers == {"owner/t": str(tokenizer)}


def test_places_that_are_not_there_are_all_named(tmp_path):
    file = tmp_path / "mirror.yaml"
    file.write_text("datasets:\n  a: gone\ntokenizers:\n  t: /nowhere/t\n")
    with pytest.raises(InvalidInput) as refused:
        read_mirror(file)
    assert [problem.text() for problem in refused.value.problems] == [
        f"datasets.a: there is nothing at {tmp_path / 'gone'}.",
        "tokenizers.t: there is nothing at /nowhere/t.",
    ]


@pytest.mark.parametrize("text", ["dataset: {}", "datasets: [a]", "datasets: {a: 1}", "[]"])
def test_another_shape_is_refused(tmp_path, text):
    file = tmp_path / "mirror.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_mirror(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*nowhere"):
        read_mirror(tmp_path / "nowhere.yaml")
