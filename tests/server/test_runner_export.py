"""`runner export` against the real application."""

from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from runner import authoring
from runner.api.client import SiteClient
from runner.api.transport import Transport
from runner.cli import app as command_line
from runner.exit_codes import ExitCode
from runner.settings import RunnerSettings
from server.board.query import PAGE_ROWS
from tests.runner.export.exported import broken, references
from tests.server.factories import submit, submit_and_finish

RATE = "optimizer.muon.learning_rate"
EVIL = "</script><script>alert(1)</script> & ü"
SERVER = "http://server:8000"
PUBLIC = "http://board.test"


@pytest.fixture
def requests(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the command asked the application."""
    asked: list[str] = []

    def forward(request: httpx.Request) -> httpx.Response:
        address = request.url.raw_path.decode()
        asked.append(address)
        answer = client.get(address, headers={"Accept": request.headers["Accept"]})
        headers = {"Content-Type": answer.headers["Content-Type"]}
        return httpx.Response(answer.status_code, content=answer.content, headers=headers)

    def open_client(settings: RunnerSettings) -> SiteClient:
        return SiteClient(Transport(SERVER, 0.0, httpx.MockTransport(forward)))

    monkeypatch.setattr(authoring, "open_site_client", open_client)
    return asked


def export(*arguments: object):
    return CliRunner().invoke(command_line, ["export", *map(str, arguments)])


def test_every_link_of_an_export_leads_to_a_file_of_it(
    client: TestClient, requests: list[str], tmp_path: Path
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    mine = submit_and_finish(client, EVIL, {RATE: 0.02}, val_loss=1.9).submission_id
    waiting = submit(client, "Waiting", {RATE: 0.03}).submission_id
    site = tmp_path / "site"
    ended = export(site)
    assert ended.exit_code == ExitCode.OK, ended.output
    assert str(site / "index.html") in ended.stdout
    assert broken(site, SERVER, PUBLIC) == []
    for page in ("tracks/debug", f"submissions/{mine}", f"submissions/{waiting}", "queue"):
        assert (site / page / "index.html").is_file()
    for file in (
        f"api/v1/submissions/{mine}.json",
        f"api/v1/submissions/{mine}/yaml.yaml",
        f"submissions/{mine}/badge.svg",
        f"submissions/{mine}/card.png",
        "api/v1/tracks/debug/leaderboard.csv",
        "records.atom",
        "static/charts.js",
    ):
        assert (site / file).is_file()
    assert len(requests) == len(set(requests))
    assert not any("/compare" in one or "sort=" in one for one in requests)


def test_no_page_or_feed_leads_to_the_server(
    client: TestClient, requests: list[str], tmp_path: Path
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Mine", {RATE: 0.02}, val_loss=1.9)
    assert export(tmp_path / "site").exit_code == ExitCode.OK
    for file in (tmp_path / "site").rglob("*.html"):
        text = file.read_text()
        assert PUBLIC not in text
        # Where the export is from is said once, and is no link.
        assert text.count(SERVER) == 1
        assert f"from {SERVER}</span>" in text
        assert "data-renew-seconds" not in text
    for file in (tmp_path / "site").rglob("*.atom"):
        links = [one.get("href", "") for one in ElementTree.parse(file).iter() if one.get("href")]
        assert links
        assert all((file.parent / link).is_file() for link in links)


def test_all_pages_of_a_board_are_read(
    client: TestClient, requests: list[str], tmp_path: Path
) -> None:
    for number in range(PAGE_ROWS + 1):
        submit_and_finish(client, f"Row {number}", {RATE: round(0.01 + number / 1e4, 4)}, 2.0)
    site = tmp_path / "site"
    assert export(site).exit_code == ExitCode.OK
    second = site / "tracks/debug/page-2/index.html"
    assert "../index.html" in references(second).found
    assert "page-2/index.html" in references(site / "tracks/debug/index.html").found
    assert broken(site, SERVER, PUBLIC) == []
    assert len(list((site / "submissions").iterdir())) == PAGE_ROWS + 1


def test_a_bound_on_pages_says_what_it_left_out(
    client: TestClient, requests: list[str], tmp_path: Path
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    ended = export(tmp_path / "site", "--max-pages", 1)
    assert ended.exit_code == ExitCode.OK
    assert "1 page and " in ended.stderr
    assert "beyond the first 1; links to them are plain text. More: --max-pages." in ended.stderr
    assert len(list((tmp_path / "site").rglob("*.html"))) == 1
    assert broken(tmp_path / "site", SERVER, PUBLIC) == []


def test_a_folder_with_files_is_refused_before_anything_is_asked(
    client: TestClient, requests: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    ended = export(tmp_path)
    assert ended.exit_code == ExitCode.INVALID
    assert "--overwrite" in ended.stderr
    assert requests == []
    assert export(tmp_path, "--overwrite").exit_code == ExitCode.OK
    assert (tmp_path / "mine").read_text() == "mine"
