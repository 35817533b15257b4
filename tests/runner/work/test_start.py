"""What a worker makes sure of before it asks for a job."""

import pytest

from runner.errors import BadSettings
from runner.work.start import require_name, require_writable


@pytest.mark.parametrize("name", ["x" * 81, "two\nlines", "bell\a"])
def test_a_name_that_the_server_would_not_take_is_refused_before(name):
    require_name("x" * 80)
    require_name("")  # this machine's
    with pytest.raises(BadSettings, match=r"--name is .* at most 80 characters, in one line"):
        require_name(name)


def test_a_folder_is_made_and_left_empty(tmp_path):
    require_writable("directory", tmp_path / "deep" / "runs")
    assert list((tmp_path / "deep" / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "runs"
    with pytest.raises(BadSettings, match=rf"FIVE_DOLLAR_DIRECTORY.*'{folder}'.*not a directory"):
        require_writable("directory", folder)
