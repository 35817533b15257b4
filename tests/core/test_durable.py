import pytest

from core.durable import flush_to_disk


def test_files_and_folders_are_flushed_and_missing_ones_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    flush_to_disk(path)
    flush_to_disk(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        flush_to_disk(tmp_path / "absent")
