"""Files are written inside one folder, and over nobody else's."""

from pathlib import Path, PurePosixPath

import pytest

from runner.errors import UnfitFolder
from runner.export.folder import ExportFolder

PAGE = PurePosixPath("tracks/debug/index.html")


def test_a_folder_with_files_is_refused_unless_they_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UnfitFolder, match=r"not empty.*--overwrite"):
        ExportFolder(tmp_path, overwrite=False)
    ExportFolder(tmp_path, overwrite=True).write(PAGE, b"page")
    assert (tmp_path / PAGE).read_bytes() == b"page"
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    with pytest.raises(UnfitFolder, match="not a folder"):
        ExportFolder(file, overwrite=True)


def test_a_link_leads_nothing_out_of_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "site", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "tracks").symlink_to(outside)
    with pytest.raises(UnfitFolder, match="leads out"):
        ExportFolder(inside, overwrite=True).write(PAGE, b"page")
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_page_is_replaced(tmp_path: Path) -> None:
    inside, outside = tmp_path / "site", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("mine")
    (inside / "index.html").symlink_to(outside)
    ExportFolder(inside, overwrite=True).write(PurePosixPath("index.html"), b"page")
    assert outside.read_text() == "mine"
    assert (inside / "index.html").read_bytes() == b"page"


def test_names_that_differ_in_capitals_alone_are_two_files(tmp_path: Path) -> None:
    folder = ExportFolder(tmp_path, overwrite=False)
    lower, upper = PurePosixPath("authors/ada/index.html"), PurePosixPath("authors/Ada/index.html")
    assert folder.reserve(lower, "/authors/ada") == lower
    other = folder.reserve(upper, "/authors/Ada")
    assert other.name == "index.html"
    assert str(other).casefold() != str(lower)
    assert folder.reserve(upper, "/authors/Ada") == other
    assert folder.reserve(PurePosixPath("b.csv"), "/b") == PurePosixPath("b.csv")
    assert folder.reserve(PurePosixPath("B.csv"), "/B").suffix == ".csv"
