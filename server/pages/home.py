"""The front page: every track with the top of its board."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track, TrackRules
from server.board.query import BoardQuery
from server.leaderboard import BoardRow, leaderboard
from server.live.topics import QUEUE
from server.pages.page import Page

TOP_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class TrackCard:
    """One track on the front page."""

    rules: TrackRules
    baseline: BoardRow | None
    top: tuple[BoardRow, ...]
    """The first rows under the track's default key."""
    num_ranked: int
    num_running: int
    num_queued: int


@dataclass(frozen=True, kw_only=True)
class HomePage(Page):
    """Context of `home.html`."""

    cards: tuple[TrackCard, ...]


def home_page(session: Session, tracks: Mapping[str, Track]) -> HomePage:
    """The front page, the track with the most ranked experiments first."""
    cards = [_card(session, track) for track in tracks.values()]
    cards.sort(key=lambda card: card.num_ranked, reverse=True)
    return HomePage(
        title="Tracks",
        section="tracks",
        is_live=any(card.num_running or card.num_queued for card in cards),
        topics=(QUEUE,),
        json_url="/api/v1/tracks",
        cards=tuple(cards),
    )


def _card(session: Session, track: Track) -> TrackCard:
    board = leaderboard(session, track, BoardQuery(page_rows=TOP_ROWS))
    ranked = tuple(row for row in board.rows if row.withdrawn is None)
    return TrackCard(
        rules=track.rules,
        baseline=board.baseline,
        top=ranked[:TOP_ROWS],
        num_ranked=board.num_ranked,
        num_running=board.num_running,
        num_queued=board.num_queued,
    )
