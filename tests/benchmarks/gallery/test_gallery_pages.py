from urllib.parse import urlsplit

from starlette.routing import Route

from benchmarks.gallery.busy_board import BusyBoard
from benchmarks.gallery.gallery_pages import busy_pages, empty_pages, huge_pages
from benchmarks.gallery.ideas import MEASURED
from server.routes import pages, submit

BOARD = BusyBoard(
    measured=tuple(f"s_{number}" for number in range(len(MEASURED))),
    withdrawn="s_withdrawn",
    unverified="s_unverified",
    failed="s_failed",
    running="s_running",
    queued="s_queued",
)


def test_every_page_that_the_server_has_is_looked_at() -> None:
    routes = [*pages.router.routes, *submit.router.routes]
    paths = [urlsplit(page.path).path for page in busy_pages(BOARD)]
    for route in routes:
        assert isinstance(route, Route)
        assert any(route.path_regex.match(path) for path in paths), route.path


def test_no_two_pages_have_the_same_name() -> None:
    every = [*empty_pages(), *busy_pages(BOARD), *huge_pages(["s_1", "s_2"])]
    assert len({page.name for page in every}) == len(every)
