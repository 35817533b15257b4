"""Every kind of page, in the states that it has."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from benchmarks.gallery.busy_board import TRACK, BusyBoard
from benchmarks.gallery.ideas import MEASURED

EMPTY_TRACK = "h100_3b"
"""A track that nobody has measured anything on."""


class State(StrEnum):
    """How much there is to show."""

    EMPTY = "empty"
    BUSY = "busy"
    HUGE = "huge"


class GalleryPage(NamedTuple):
    """A page to look at."""

    title: str
    state: State
    path: str
    is_signed_in: bool = False
    status: int = 200

    @property
    def name(self) -> str:
        """Of files."""
        return f"{self.title}_{self.state}".lower().replace(" ", "_")


def empty_pages() -> list[GalleryPage]:
    """Pages of a server that nobody has sent anything."""
    paths = {
        "Home": "/",
        "Board": f"/tracks/{EMPTY_TRACK}",
        "Settings": f"/tracks/{EMPTY_TRACK}/settings",
        "Setting": f"/tracks/{EMPTY_TRACK}/settings/model.dropout",
        "Authors": "/authors",
        "Compare": "/compare",
        "Queue": "/queue",
    }
    return [GalleryPage(title, State.EMPTY, path) for title, path in paths.items()]


def busy_pages(board: BusyBoard) -> list[GalleryPage]:
    """Pages of a server on which every state of a submission occurs."""
    best, two = board.measured[-1], (board.measured[0], board.measured[-1])
    paths = {
        "Home": "/",
        "Board": f"/tracks/{TRACK}",
        "Ranking": f"/tracks/{TRACK}#ranking",
        "Ranking without a match": f"/tracks/{TRACK}?q=nothing+of+the+kind#ranking",
        "Submission": f"/submissions/{best}",
        "Curves": f"/submissions/{best}#curves",
        "Submission that failed": f"/submissions/{board.failed}",
        "Submission that runs": f"/submissions/{board.running}",
        "Submission that waits": f"/submissions/{board.queued}",
        "Submission withdrawn": f"/submissions/{board.withdrawn}",
        "Compare two": comparison(two),
        "Compare six": comparison(board.measured[:6]),
        "Settings": f"/tracks/{TRACK}/settings",
        "Setting": f"/tracks/{TRACK}/settings/model.attention.qk_norm",
        "Authors": "/authors",
        "Author": f"/authors/{MEASURED[0].author}",
        "Queue": "/queue",
        "Workers": "/queue#workers",
        "Rules": f"/tracks/{TRACK}/rules",
        "About": "/about",
    }
    return [
        *(GalleryPage(title, State.BUSY, path) for title, path in paths.items()),
        GalleryPage("Own submission", State.BUSY, f"/submissions/{best}#forms", is_signed_in=True),
        GalleryPage("Submit", State.BUSY, "/submit", is_signed_in=True),
        GalleryPage("Submit signed out", State.BUSY, "/submit"),
        GalleryPage("Error", State.BUSY, "/submissions/s_nothing", status=404),
    ]


def huge_pages(ids: Sequence[str]) -> list[GalleryPage]:
    """Pages of a server with thousands of submissions, the best first, and hundreds of jobs."""
    paths = {
        "Home": "/",
        "Ranking": f"/tracks/{TRACK}#ranking",
        "Ranking in the middle": f"/tracks/{TRACK}?sort=cost&page=50#ranking",
        "Submission": f"/submissions/{ids[0]}",
        "Setting": f"/tracks/{TRACK}/settings/optimizer.muon.learning_rate",
        "Authors": "/authors",
        "Author": "/authors/author7",
        "Queue": "/queue",
    }
    return [GalleryPage(title, State.HUGE, path) for title, path in paths.items()]


def comparison(ids: Sequence[str]) -> str:
    """The path that compares submissions."""
    return "/compare?" + "&".join(f"id={one}" for one in ids)
