"""Pictures of every page for the documentation: `python -m benchmarks.gallery`, or `make pictures`.

Fills three servers, one with nothing, one with every state, and one with thousands of submissions,
and takes each page in light, in dark and as wide as a phone.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser, sync_playwright

from benchmarks.gallery.browser import FLAGS, find_browser
from benchmarks.gallery.busy_board import fill_busy_board
from benchmarks.gallery.camera import take_pictures
from benchmarks.gallery.catalogue import catalogue
from benchmarks.gallery.gallery_pages import GalleryPage, busy_pages, empty_pages, huge_pages
from benchmarks.gallery.gallery_server import serving_gallery
from benchmarks.pages_board import fill
from benchmarks.store_board import Board

DOCS = Path(__file__).resolve().parents[2] / "docs"
HUGE_SUBMISSIONS, HUGE_JOBS, HUGE_POINTS = 5_000, 300, 1_000


def main(
    docs: Annotated[Path, typer.Option(help="Folder that pages.md and pictures/ go to.")] = DOCS,
) -> None:
    """Take the pictures, and write the document that shows them."""
    logging.disable(logging.INFO)
    program = find_browser()
    pictures = docs / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        pages = [page for take in (_empty, _busy, _huge) for page in take(browser, pictures)]
        browser.close()
    (docs / "pages.md").write_text(catalogue(pages, pictures.name))
    size = sum(path.stat().st_size for path in pictures.iterdir())
    typer.echo(f"{len(list(pictures.iterdir()))} pictures, {size / 2**20:.1f} MiB")


def _empty(browser: Browser, pictures: Path) -> list[GalleryPage]:
    with tempfile.TemporaryDirectory() as folder, serving_gallery(Path(folder)) as server:
        pages = empty_pages()
        take_pictures(browser, server.url, pages, pictures)
    return pages


def _busy(browser: Browser, pictures: Path) -> list[GalleryPage]:
    settings = {"queues_runs": "true", "canary_hours": "24"}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_gallery(Path(folder), **settings) as server,
    ):
        pages = busy_pages(fill_busy_board(server.hands))
        take_pictures(browser, server.url, pages, pictures)
    return pages


def _huge(browser: Browser, pictures: Path) -> list[GalleryPage]:
    with tempfile.TemporaryDirectory() as folder:
        board = Board(f"sqlite:///{folder}/board.sqlite")
        ids = fill(board, HUGE_SUBMISSIONS, HUGE_POINTS)
        board.queue(HUGE_JOBS)
        board.close()
        with serving_gallery(Path(folder)) as server:
            pages = huge_pages(ids)
            take_pictures(browser, server.url, pages, pictures)
    return pages


if __name__ == "__main__":
    typer.run(main)
