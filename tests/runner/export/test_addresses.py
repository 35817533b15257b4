"""Which addresses an export follows, and the names of its files."""

from pathlib import PurePosixPath

import pytest

from runner.export.addresses import Address, read_address

ORIGIN = "http://board:8000"


def read(rest: str) -> Address:
    address = read_address(f"{ORIGIN}{rest}", ORIGIN)
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/", "index.html"),
        ("/tracks/debug", "tracks/debug/index.html"),
        ("/tracks/debug/", "tracks/debug/index.html"),
        ("/tracks/debug?page=1", "tracks/debug/index.html"),
        ("/tracks/debug?page=2&key=ab", "tracks/debug/key-ab/page-2/index.html"),
        ("/tracks/debug?key=ab&page=2", "tracks/debug/key-ab/page-2/index.html"),
        ("/tracks/debug/settings/model.dropout", "tracks/debug/settings/model.dropout/index.html"),
        ("/authors/Ada%20L", "authors/Ada L/index.html"),
    ],
)
def test_a_page_becomes_the_index_of_a_folder(address: str, file: str) -> None:
    found = read(address)
    assert not found.is_file
    assert found.is_followed
    assert found.page_path() == PurePosixPath(file)


@pytest.mark.parametrize(
    ("address", "media_type", "file"),
    [
        ("/static/site.css?v=12", "text/css", "static/site.css"),
        ("/static/vendor/uPlot.min.js?v=1", "text/javascript", "static/vendor/uPlot.min.js"),
        ("/api/v1/submissions/s_1", "application/json", "api/v1/submissions/s_1.json"),
        ("/api/v1/submissions/s_1/yaml", "application/yaml", "api/v1/submissions/s_1/yaml.yaml"),
        ("/api/v1/runs/r/log?tail=100", "text/plain", "api/v1/runs/r/log-tail-100.txt"),
        ("/api/v1/t/board.csv?key=ab", "text/csv", "api/v1/t/board-key-ab.csv"),
        ("/records.atom", "application/atom+xml", "records.atom"),
        ("/submissions/s_1/card.png", "image/png", "submissions/s_1/card.png"),
    ],
)
def test_a_file_has_the_ending_of_its_type(address: str, media_type: str, file: str) -> None:
    found = read(address)
    assert found.is_file
    assert found.file_path(media_type) == PurePosixPath(file)


@pytest.mark.parametrize(
    "address",
    ["/compare", "/compare?a=1&b=2", "/submit", "/sign-in/github", "/tracks/debug?sort=age&page=2"],
)
def test_what_a_reader_asks_is_not_followed(address: str) -> None:
    assert not read(address).is_followed


def test_comparisons_do_not_hide_what_begins_alike() -> None:
    assert read("/compared").is_followed


@pytest.mark.parametrize("url", ["http://board/", "https://board:8000/", "mailto:a@b.example"])
def test_other_sites_are_not_of_the_export(url: str) -> None:
    assert read_address(url, ORIGIN) is None


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..%2fetc", "a%5Cb", "%00", ".git", "a%3Ab", "x" * 101, "a%0Ab"]
)
def test_no_name_leaves_its_folder(name: str) -> None:
    path = read(f"/authors/{name}").page_path()
    assert path.parts[0] == "authors"
    assert path.parts[1].isalnum()
    assert len(path.parts[1]) == 16
