"""The page that shows two submissions side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track
from server.comparison import Comparison, compare
from server.live.topics import track_topic
from server.pages.page import Page


@dataclass(frozen=True, kw_only=True)
class ComparePage(Page):
    """Context of `compare.html`."""

    asked_a: str
    """Id asked for on side A; empty if none was."""
    asked_b: str
    """Id asked for on side B; empty if none was."""
    comparison: Comparison | None
    """None until both sides are named."""
    curves_urls: str
    """Addresses of both sides' curves, with a space between."""


def compare_page(
    session: Session, tracks: Mapping[str, Track], a: str = "", b: str = ""
) -> ComparePage:
    """The comparison of two submissions, or a form that asks for them.

    Raises:
        NotFound: both are named and one of them does not exist.
    """
    comparison = compare(session, tracks, a, b) if a and b else None
    if comparison is None:
        return ComparePage(
            title="Compare",
            section="compare",
            asked_a=a,
            asked_b=b,
            comparison=None,
            curves_urls="",
        )
    sides = (comparison.a, comparison.b)
    return ComparePage(
        title=f"{comparison.a.name} and {comparison.b.name}",
        section="compare",
        is_live=any(side.num_active_runs for side in sides),
        topics=tuple(sorted({track_topic(side.track) for side in sides})),
        json_url=f"/api/v1/compare?a={a}&b={b}",
        asked_a=a,
        asked_b=b,
        comparison=comparison,
        curves_urls=" ".join(f"/api/v1/submissions/{side.submission_id}/curves" for side in sides),
    )
