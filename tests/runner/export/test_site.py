"""Reading a site that does not answer everything."""

from pathlib import Path

import httpx
import pytest

from runner.api.client import SiteClient
from runner.api.transport import Transport
from runner.errors import ServerFault, ServerUnreachable
from runner.export.folder import ExportFolder
from runner.export.site import ExportSummary, SiteExport

HOME = (
    '<link rel="stylesheet" href="/static/a.css?v=1"><a href="/gone#x">gone</a>'
    '<a href="/api/v1/none.csv">none</a><a href="?page=1">self</a><a href="?page=2">next</a>'
    '<a href="javascript:alert(1)">script</a><a href="https://other.example/">other</a>'
    '<div data-curves="/api/v1/curves"></div>'
)


def page(html: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, html=html)


def export(
    tmp_path: Path, answers: dict[str, httpx.Response], public_url: str = ""
) -> ExportSummary:
    """Export a server of these answers; another address ends the connection."""

    def handle(request: httpx.Request) -> httpx.Response:
        try:
            return answers[request.url.raw_path.decode()]
        except KeyError:
            raise httpx.ReadError("cut") from None

    client = SiteClient(Transport("http://b", 0.0, httpx.MockTransport(handle)))
    return SiteExport(client, ExportFolder(tmp_path, False), 10, public_url).run()


def test_what_the_server_lacks_is_listed_and_not_linked(tmp_path: Path) -> None:
    css = httpx.Response(200, content=b"p {}", headers={"Content-Type": "text/css"})
    summary = export(
        tmp_path,
        {
            "/": page(HOME),
            "/?page=2": page("two"),
            "/static/a.css": css,
            "/gone": page("no such page", 404),
            "/api/v1/none.csv": httpx.Response(501, json={}),
            "/api/v1/curves": httpx.Response(404, json={}),
        },
    )
    assert (tmp_path / "index.html").read_text() == (
        '<link rel="stylesheet" href="static/a.css"><a href="gone/index.html#x">gone</a>'
        '<span>none</span><a href="index.html">self</a><a href="page-2/index.html">next</a>'
        '<span>script</span><a href="https://other.example/">other</a>'
        '<div data-curves=""></div>'
    )
    assert (tmp_path / "gone" / "index.html").read_text() == "no such page"
    assert (tmp_path / "static" / "a.css").read_bytes() == b"p {}"
    assert (summary.num_pages, summary.num_files, summary.num_left_out) == (3, 1, 0)
    assert summary.faults == ("/api/v1/none.csv (501)", "/api/v1/curves (404)", "/gone (404)")


def test_pictures_have_whole_addresses_where_the_site_will_stand(tmp_path: Path) -> None:
    head = '<meta property="og:url" content="x"><meta property="og:image" content="http://p/a.png">'
    picture = httpx.Response(200, content=b"\x89PNG", headers={"Content-Type": "image/png"})
    answers = {
        "/": page(f'{head}<a href="/authors/a%20b">a</a>'),
        "/authors/a%20b": page(head),
        "/a.png": picture,
    }
    export(tmp_path, answers, "https://ada.example/board/")
    for file, address in (("index.html", ""), ("authors/a b/index.html", "authors/a%20b/")):
        assert (
            (tmp_path / file)
            .read_text()
            .startswith(
                f'<meta property="og:url" content="https://ada.example/board/{address}">'
                '<meta property="og:image" content="https://ada.example/board/a.png">'
            )
        )


def test_what_is_no_page_is_replaced_by_one_that_says_so(tmp_path: Path) -> None:
    picture = httpx.Response(200, content=b"\x89PNG", headers={"Content-Type": "image/png"})
    summary = export(tmp_path, {"/": page('<a href="/odd">odd</a>'), "/odd": picture})
    assert "had no page here" in (tmp_path / "odd" / "index.html").read_text()
    assert summary.faults == ("/odd (200)",)


@pytest.mark.parametrize("answer", [page("down", 500), httpx.Response(200, json={})])
def test_another_programs_front_page_ends_the_export(
    tmp_path: Path, answer: httpx.Response
) -> None:
    with pytest.raises(ServerFault, match="no page of this project"):
        export(tmp_path, {"/": answer})
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_away_ends_the_export(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match="http://b"):
        export(tmp_path, {"/": page('<a href="/queue">queue</a>')})
