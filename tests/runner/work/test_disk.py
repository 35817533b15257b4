import shutil
from typing import NamedTuple

import pytest

from runner.work.disk import disk_shortage


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_there_is_room_in_folders_that_are_made_where_they_are_missing(tmp_path):
    assert disk_shortage([tmp_path, tmp_path / "runs"]) is None
    assert (tmp_path / "runs").is_dir()


def test_a_disk_with_little_room_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 5 * 1024**2))
    expected = f"{tmp_path} has 5 MiB free, and a run needs 256 MiB"
    assert disk_shortage([tmp_path]) == expected


@pytest.mark.parametrize("folder", ["/proc/runs", "/dev/null/runs"])
def test_a_folder_that_takes_no_file_is_named(folder):
    from pathlib import Path

    assert (disk_shortage([Path(folder)]) or "").startswith(f"no file can be written to {folder}")
