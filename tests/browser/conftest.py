import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    sync_playwright,
)

from benchmarks.gallery.busy_board import BusyBoard, fill_busy_board
from benchmarks.gallery.gallery_server import GalleryServer, serving_gallery
from tests.server.conftest import unpinned_tracks

START_SECONDS = 30.0
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="package")
def chromium() -> str:
    """Path of the browser; without one the tests are skipped, but on CI that is a failure."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        message = f"no browser: none of {', '.join(NAMES)} is on the PATH"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server process of its own on a free port, with an empty database."""
    with serving(tmp_path_factory.mktemp("server")) as url:
        yield url


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[str]:
    """A server process on a free port, with its database in a folder; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "FIVE_DOLLAR_DATABASE_URL": f"sqlite:///{folder / 'board.sqlite'}",
        "FIVE_DOLLAR_HOST": "127.0.0.1",
        "FIVE_DOLLAR_PORT": str(port),
        "FIVE_DOLLAR_PUBLIC_URL": "",
        "FIVE_DOLLAR_TRACKS_FOLDER": str(unpinned_tracks(folder / "baselines")),
        "FIVE_DOLLAR_QUEUES_RUNS": "false",
        "FIVE_DOLLAR_CANARY_HOURS": "0",
        **{f"FIVE_DOLLAR_{name}": value for name, value in settings.items()},
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def board(server_url: str) -> Iterator[httpx.Client]:
    """A client of the server, to play authors and workers with."""
    with httpx.Client(base_url=server_url, timeout=20.0) as client:
        yield client


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, server_url: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=server_url, viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server_url: str) -> Iterator[Page]:
    """A page that must log no error and reach no other host."""
    page = context.new_page()
    faults: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def note_dialog(dialog: Dialog) -> None:
        faults.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    def note_request(request: Request) -> None:
        if not request.url.startswith(server_url):
            faults.append(f"another host was asked: {request.url}")

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", note_console)
    page.on("dialog", note_dialog)
    page.on("request", note_request)
    yield page
    assert faults == []


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/api/v1/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start: {log.read_text()}")


@pytest.fixture(scope="package")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GalleryServer]:
    """A server on which people can sign in and runs are asked for, with an empty board."""
    folder = tmp_path_factory.mktemp("gallery")
    with serving_gallery(folder, queues_runs="true", canary_hours="24") as server:
        yield server


@pytest.fixture(scope="package")
def busy(gallery: GalleryServer) -> BusyBoard:
    """Submissions in every state on that server."""
    return fill_busy_board(gallery.hands)
