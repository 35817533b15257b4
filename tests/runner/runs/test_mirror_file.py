"""Reading the map of local stand-ins."""

import pytest

from core.errors import InvalidInput
from core.schema.mirror import Mirror
from runner.runs.mirror_file import read_mirror


def test_no_file_mirrors_nothing():
    assert read_mirror(None) == Mirror()


def test_relative_paths_start_from_the_files_folder(tmp_path):
    file = tmp_path / "mirror.yaml"
    file.write_text(
        "datasets:\n  owner/name/subset: corpus/a.parquet\ntokenizers:\n  owner/t: /abs/t\n"
    )
    mirror = read_mirror(file)
    assert mirror.datasets == {"owner/name/subset": str(tmp_path / "corpus/a.parquet")}
    assert mirror.tokenizers == {"owner/t": "/abs/t"}


@pytest.mark.parametrize("text", ["dataset: {}", "datasets: [a]", "datasets: {a: 1}", "[]"])
def test_another_shape_is_refused(tmp_path, text):
    file = tmp_path / "mirror.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_mirror(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*nowhere"):
        read_mirror(tmp_path / "nowhere.yaml")
