"""A track's page: its board, its queue, its rules."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track, TrackRules
from server.leaderboard import BoardRow, Leaderboard, leaderboard
from server.pages.page import Page
from server.track_contract import budget_sentences
from server.verdict.bar import IntervalBar, interval_bars


@dataclass(frozen=True, kw_only=True)
class TrackPage(Page):
    """Context of `track.html`."""

    rules: TrackRules
    budget: tuple[str, ...]
    """The budget in plain words."""
    board: Leaderboard
    rows: tuple[BoardRow, ...]
    """The baseline, where it has a result, and then the ranked rows."""
    bars: Mapping[str, IntervalBar | None]
    """The interval of each row, by its experiment, on one scale."""
    preselected_a: str | None
    """Submission that the form for a comparison starts with on side A."""
    preselected_b: str | None
    """The same on side B; None unless there are two to compare."""


def track_page(session: Session, track: Track, key: str | None = None) -> TrackPage:
    """The page of a track.

    Raises:
        NotFound: the track has no result under that key.
    """
    board = leaderboard(session, track, key)
    rows = (*((board.baseline,) if board.baseline else ()), *board.rows)
    choices = [row.submission_id for row in rows if row.submission_id]
    url = f"/api/v1/tracks/{track.rules.name}/leaderboard"
    return TrackPage(
        title=track.rules.title,
        section="tracks",
        is_live=bool(board.active),
        json_url=f"{url}?key={board.key}" if key else url,
        rules=track.rules,
        budget=budget_sentences(track.rules.budget),
        board=board,
        rows=rows,
        bars=dict(
            zip(
                [row.experiment_hash for row in rows],
                interval_bars(row.verdict for row in rows),
                strict=True,
            )
        ),
        preselected_a=choices[0] if len(choices) > 1 else None,
        preselected_b=choices[1] if len(choices) > 1 else None,
    )
