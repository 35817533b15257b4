"""The head of each page that programs read."""

from server.pages.head import Alternate, Head
from server.pages.track import TrackPage

ATOM = "application/atom+xml"


def home_head() -> Head:
    """That of the front page."""
    feed = Alternate(url="/records.atom", media_type=ATOM, title="Records as Atom feed")
    return Head(alternates=(feed,))


def track_head(page: TrackPage) -> Head:
    """That of a track's page."""
    return Head(alternates=_files(page))


def _files(page: TrackPage) -> tuple[Alternate, ...]:
    """The board under the key that was asked for, and the feed of all keys."""
    path, _, query = page.json_url.partition("?")
    query = f"?{query}" if query else ""
    return (
        Alternate(url=f"{path}.csv{query}", media_type="text/csv", title="Board as CSV"),
        Alternate(
            url=f"{path}.parquet{query}",
            media_type="application/vnd.apache.parquet",
            title="Board as Parquet",
        ),
        Alternate(
            url=f"/tracks/{page.rules.name}/records.atom",
            media_type=ATOM,
            title="Records as Atom feed",
        ),
    )
