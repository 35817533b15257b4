import gzip
import json
import re
from pathlib import Path

import jinja2
import pytest

from server.pages.error import ErrorPage
from server.pages.page import Page
from server.templating import STATIC, environment, render, static_url

TEMPLATES = sorted((STATIC.parent / "templates").glob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_escapes_all_that_it_writes(path: Path) -> None:
    html = path.read_text()
    assert "|safe" not in html.replace(" ", "")


def test_every_form_that_changes_something_carries_the_sessions_token() -> None:
    html = "".join(path.read_text() for path in TEMPLATES)
    forms = re.findall(r"<form\b[^>]*>.*?</form>", html, re.DOTALL)
    posting = [form for form in forms if 'method="get"' not in form]
    assert len(posting) == 4
    assert all('method="post"' in form for form in posting)
    assert all("{{ form_token(viewer) }}" in form for form in posting)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_compiles(path: Path) -> None:
    assert environment().get_template(path.name).name == path.name


def test_a_value_that_a_context_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="no attribute"):
        render("error.html", Page(title="x"), status_code=404)


def test_page_escapes_what_it_shows_and_is_asked_for_anew() -> None:
    page = ErrorPage(title="x", status=404, heading="No", message="<b>")
    response = render("error.html", page, status_code=404)
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.status_code == 404
    assert b"&lt;b&gt;" in response.body


def test_address_of_a_static_file_changes_with_its_content() -> None:
    assert re.fullmatch(r"/static/site\.css\?v=[0-9a-f]{12}", static_url("site.css"))
    assert static_url("site.css") != static_url("charts.css")


def test_styles_and_scripts_name_no_other_host() -> None:
    files = [*STATIC.glob("*.css"), *STATIC.glob("*.js")]
    assert len(files) >= 4
    for file in files:
        assert not re.search(r"https?://|@import|url\(", file.read_text()), file.name


def test_vendored_library_comes_with_its_licence_and_version() -> None:
    folder = STATIC / "vendor" / "uplot"
    version = re.search(r"version (\d+\.\d+\.\d+)", (folder / "README.md").read_text())
    assert version
    assert version[1] in (folder / "uPlot.iife.min.js").read_text()[:400]
    assert "MIT" in (folder / "LICENSE").read_text()


def test_the_bundled_editor_is_small_and_says_what_it_is_made_of() -> None:
    folder = STATIC / "vendor" / "codemirror"
    bundle = (folder / "codemirror.iife.min.js").read_bytes()
    assert len(bundle) <= 400_000
    assert len(gzip.compress(bundle)) <= 150_000
    assert b"var CodeMirror=" in bundle[:200]
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    readme, licence = ((folder / name).read_text() for name in ("README.md", "LICENSE"))
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
        if name != "esbuild":
            assert f"| `{name}` | {version} |" in readme
            assert name in licence
    exported = re.findall(r"^export \{(.*?)\}", (folder / "entry.js").read_text(), re.MULTILINE)
    editor = (STATIC / "editor.js").read_text()
    for name in ", ".join(exported).replace(" ", "").split(","):
        assert re.search(rf"\b{name}\b", editor), f"{name} is bundled for nothing"
