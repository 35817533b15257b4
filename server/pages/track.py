"""A track's page: its board, its queue, its rules."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Budget, Track, TrackRules
from server.board.columns import (
    LABELS,
    BoardColumn,
    BoardPageQuery,
    ColumnHead,
    column_heads,
)
from server.leaderboard import BoardRow, Leaderboard, leaderboard
from server.live.topics import track_topic
from server.pages.page import Page
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
    rows: tuple[BoardRow, ...]
    """The baseline, where it has a result, and then the rows of the page."""
    bars: Mapping[str, IntervalBar | None]
    """The interval of each row, by its experiment, on one scale."""
    preselected_a: str | None
    """Submission that the form for a comparison starts with on side A."""
    preselected_b: str | None
    """The same on side B; None unless there are two to compare."""


def track_page(session: Session, track: Track, query: BoardPageQuery = BY_LOSS) -> TrackPage:
    """The page of a track.

    Raises:
        NotFound: the track has no result under that key.
    """
    board = leaderboard(session, track, query)
    rows = (*((board.baseline,) if board.baseline else ()), *board.rows)
    choices = [row.submission_id for row in rows if row.submission_id]
    path = f"/tracks/{track.rules.name}"
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


def _links(query: BoardPageQuery, path: str, num_pages: int) -> tuple[PageLink, ...]:
    steps = []
    if query.page > 1:
        steps += [("First", 1), ("Previous", min(query.page - 1, num_pages))]
    if query.page < num_pages:
        steps += [("Next", query.page + 1), ("Last", num_pages)]
    return tuple(PageLink(title=title, url=query.address(path, page=n)) for title, n in steps)


def budget_sentences(budget: Budget) -> tuple[str, ...]:
    """Each bound that a budget sets, as a short phrase."""
    sentences = []
    if budget.training_flops_ratio is not None:
        sentences.append(f"at most {budget.training_flops_ratio:g} × the baseline's training FLOPs")
    if budget.steps is not None:
        sentences.append(f"at most {budget.steps:,} optimizer steps")
    if budget.cost_usd is not None:
        sentences.append(f"at most ${budget.cost_usd:,.2f} for compile and training time")
    if budget.memory_gib is not None:
        sentences.append(f"at most {budget.memory_gib:g} GiB of device memory")
    return tuple(sentences)
