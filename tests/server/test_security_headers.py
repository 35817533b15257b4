import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.routes import health
from server.security_headers import HEADERS, security_headers
from server.settings import ServerSettings
from server.templating import HERE, STATIC
from tests.server.factories import API, submit_and_finish

TEMPLATES = sorted((HERE / "templates").glob("*.html"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/queue", 200),
        ("/nothing", 404),
        (f"{API}/tracks", 200),
        (f"{API}/openapi.json", 200),
        (f"{API}/runs/r_x", 404),
        (f"{API}/submissions?limit=0", 422),
        ("/static/site.css", 200),
        ("/static/nothing.css", 404),
    ],
)
def test_every_answer_carries_the_headers(client: TestClient, path: str, status: int) -> None:
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == status
    for name, value in HEADERS.items():
        assert response.headers.get_list(name) == [value], name


def test_what_authors_and_workers_wrote_is_no_exception(client: TestClient) -> None:
    receipt = submit_and_finish(client)
    for path in (f"submissions/{receipt.submission_id}/yaml", f"runs/{receipt.run_id}/log"):
        response = client.get(f"{API}/{path}")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'self'")


def test_refused_bodies_and_faults_are_no_exception(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> str:
        raise KeyError

    monkeypatch.setattr(health, "code_commit", break_down)
    large = client.post(f"{API}/workers", content=b"x" * 2_000_000)
    broken = client.get(f"{API}/health")
    assert (large.status_code, broken.status_code) == (413, 500)
    for response in (large, broken):
        for name, value in HEADERS.items():
            assert response.headers.get_list(name) == [value], name


def test_the_policy_allows_nothing_inline_and_no_frame() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy


def test_https_is_kept_only_where_it_is_the_public_address(settings: ServerSettings) -> None:
    assert "Strict-Transport-Security" not in security_headers("")
    assert "Strict-Transport-Security" not in security_headers("http://board.test")
    secure = settings.model_copy(update={"public_url": "https://board.test"})
    with TestClient(create_app(secure)) as client:
        answer = client.get(f"{API}/tracks")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_needs_what_the_policy_forbids(template: Path) -> None:
    # The policy names the one style that stands in pages.
    html = template.read_text().replace("<style>{{ page_style }}</style>", "")
    assert not re.search(r"\sstyle\s*=|<style|\son\w+\s*=|javascript:", html)
    run = [tag for tag in re.findall(r"<script[^>]*>", html) if "application/ld+json" not in tag]
    assert all("src=" in tag for tag in run)


def test_no_script_evaluates_text() -> None:
    for file in STATIC.rglob("*.js"):
        text = file.read_text()
        assert not re.search(r"\beval\(|new Function\(|innerHTML|insertAdjacentHTML", text), file
