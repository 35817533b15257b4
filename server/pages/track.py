"""A track's page: its board, its queue, its rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from core.schema.track import Track, TrackRules
from server.board.columns import (
    LABELS,
    BoardColumn,
    BoardPageQuery,
    ColumnHead,
    column_heads,
)
from server.board.drawing import Step, StepsDrawing, draw_steps
from server.board.history import BoardHistory, FrontierStep, RecordStep, history_under
from server.formatting import loss, moment, usd
from server.leaderboard import BoardRow, Leaderboard, leaderboard
from server.live.topics import track_topic
from server.pages.page import Page
from server.track_contract import budget_sentences
from server.verdict.bar import IntervalBar, interval_bars

BY_LOSS = BoardPageQuery()
"""The first page of the default board with all columns."""


@dataclass(frozen=True, kw_only=True)
class PageLink:
    """A step through the pages of a list."""

    title: str
    url: str


@dataclass(frozen=True, kw_only=True)
class TrackPage(Page):
    """Context of `track.html`."""

    rules: TrackRules
    budget: tuple[str, ...]
    """The budget in plain words."""
    board: Leaderboard
    query: BoardPageQuery
    path: str
    """Address of the page without a query."""
    heads: tuple[ColumnHead, ...]
    choices: tuple[tuple[str, str, bool], ...]
    """(column, title, whether it is shown) of every column that can be left out."""
    links: tuple[PageLink, ...]
    """To the neighbouring pages."""
    first_row: int
    """Number of the first row on the page, from 1; 0 without rows."""
    history: BoardHistory
    record_steps: StepsDrawing | None
    """The records that count, by date; None without any."""
    frontier_steps: StepsDrawing | None
    """The lowest loss by cost; None without any."""
    rows: tuple[BoardRow, ...]
    """The baseline, where it has a result, and then the rows of the page."""
    bars: Mapping[str, IntervalBar | None]
    """The interval of each row, by its experiment, on one scale."""
    can_compare: bool
    """Whether there are two submissions to compare."""


def track_page(
    session: Session, track: Track, now: datetime, query: BoardPageQuery = BY_LOSS
) -> TrackPage:
    """The page of a track, as of `now`.

    Raises:
        NotFound: the track has no result under that key.
    """
    board = leaderboard(session, track, query)
    rows = (*((board.baseline,) if board.baseline else ()), *board.rows)
    path = f"/tracks/{track.rules.name}"
    history = history_under(session, track, board.key)
    return TrackPage(
        title=track.rules.title,
        section="tracks",
        is_live=bool(board.active),
        topics=(track_topic(track.rules.name),),
        json_url=query.address(f"/api/v1{path}/leaderboard", column=()),
        rules=track.rules,
        budget=budget_sentences(track.rules.budget),
        board=board,
        query=query,
        path=path,
        heads=column_heads(query, path, board.tasks),
        choices=tuple((one.value, LABELS[one], query.shows(one)) for one in BoardColumn),
        links=_links(query, path, board.num_pages),
        first_row=(query.page - 1) * query.page_rows + 1 if board.rows else 0,
        history=history,
        record_steps=_draw_records(history.records, now),
        frontier_steps=_draw_frontier(history.frontier),
        rows=rows,
        bars=dict(
            zip(
                [row.experiment_hash for row in rows],
                interval_bars(row.verdict for row in rows),
                strict=True,
            )
        ),
        can_compare=sum(bool(row.submission_id) for row in rows) > 1,
    )


def _draw_records(records: Sequence[RecordStep], now: datetime) -> StepsDrawing | None:
    steps = [
        Step(
            at=record.set_at.timestamp(),
            loss=record.val_loss,
            title=f"{record.name}: {loss(record.val_loss)}, {moment(record.set_at)}",
            url=f"/submissions/{record.submission_id}" if record.submission_id else "",
        )
        for record in records
        if not record.lost_reason
    ]
    return draw_steps(steps, now.timestamp())


def _draw_frontier(frontier: Sequence[FrontierStep]) -> StepsDrawing | None:
    steps = [
        Step(
            at=one.cost_usd,
            loss=one.val_loss,
            title=f"{one.name}: {loss(one.val_loss)} for {usd(one.cost_usd)}",
            url=f"/submissions/{one.submission_id}" if one.submission_id else "",
        )
        for one in frontier
    ]
    return draw_steps(steps)


def _links(query: BoardPageQuery, path: str, num_pages: int) -> tuple[PageLink, ...]:
    steps = []
    if query.page > 1:
        steps += [("First", 1), ("Previous", min(query.page - 1, num_pages))]
    if query.page < num_pages:
        steps += [("Next", query.page + 1), ("Last", num_pages)]
    return tuple(PageLink(title=title, url=query.address(path, page=n)) for title, n in steps)
