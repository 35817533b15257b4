"""What a worker makes sure of before it asks for a job."""

import pytest

from runner.errors import BadSettings
from runner.work.start import require_writable


def test_a_folder_is_made_and_left_empty(tmp_path):
    require_writable("directory", tmp_path / "deep" / "runs")
    assert list((tmp_path / "deep" / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "runs"
    with pytest.raises(BadSettings, match=rf"FIVE_DOLLAR_DIRECTORY.*'{folder}'.*not a directory"):
        require_writable("directory", folder)
