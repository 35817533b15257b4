"""The page that shows two to six submissions side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.compared_settings import MAX_COMPARED, ComparedSetting, written_values
from core.schema.track import Track
from server.comparison.compare import Comparison, compare
from server.comparison.query import compare_address
from server.comparison.sides import ComparedSide
from server.formatting import setting
from server.live.topics import track_topic
from server.pages.page import Page
from server.verdict.bar import IntervalBar, interval_bars

ABSENT = "absent"
"""How a setting is written that a config does not have."""


@dataclass(frozen=True, kw_only=True)
class ShownSide:
    """One of the submissions, with what can be done with it."""

    of: ComparedSide
    first_url: str
    """The same comparison with this side in the first's place; empty of the first."""
    removed_url: str
    """The comparison without it; empty where two would not be left."""
    bar: IntervalBar | None
    """Interval of its difference to the first, on one scale with the others'."""


@dataclass(frozen=True, kw_only=True)
class SettingCell:
    """A value of a setting."""

    text: str
    is_absent: bool
    """Whether the config has no such setting."""
    differs: bool
    """Whether it is another value than the first's."""


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A setting that differs."""

    path: str
    cells: tuple[SettingCell, ...]
    """In the order of the sides."""


@dataclass(frozen=True, kw_only=True)
class ComparePage(Page):
    """Context of `compare.html`."""

    asked: tuple[str, ...]
    """Ids asked for, which may be fewer than two."""
    url: str
    """Address of the comparison; empty without one."""
    comparison: Comparison | None
    """None until two sides are named."""
    sides: tuple[ShownSide, ...]
    """The submissions."""
    settings: tuple[SettingRow, ...]
    """Settings that differ."""
    has_deltas: bool
    """Whether any figure has a difference."""
    num_free: int
    """How many more submissions there is room for."""
    curves_urls: str
    """Addresses of all sides' curves, with spaces between."""


def compare_page(
    session: Session, tracks: Mapping[str, Track], ids: Sequence[str] = ()
) -> ComparePage:
    """The comparison of submissions, or a form that asks for them.

    Raises:
        NotFound: two or more are named and one of them does not exist.
    """
    asked = tuple(ids)
    if len(asked) < 2:
        return ComparePage(
            title="Compare",
            section="compare",
            asked=asked,
            url="",
            comparison=None,
            sides=(),
            settings=(),
            has_deltas=False,
            num_free=MAX_COMPARED - len(asked),
            curves_urls="",
        )
    comparison = compare(session, tracks, asked)
    return ComparePage(
        title=_title(comparison.sides),
        section="compare",
        is_live=any(side.num_active_runs for side in comparison.sides),
        topics=tuple(sorted({track_topic(side.track) for side in comparison.sides})),
        json_url=compare_address(asked, "/api/v1/compare"),
        asked=asked,
        url=compare_address(asked),
        comparison=comparison,
        sides=_shown_sides(comparison.sides, asked),
        settings=tuple(_setting_row(row) for row in comparison.settings),
        has_deltas=any(one is not None for row in comparison.figures for one in row.deltas),
        num_free=MAX_COMPARED - len(asked),
        curves_urls=" ".join(f"/api/v1/submissions/{one}/curves" for one in asked),
    )


def _title(sides: Sequence[ComparedSide]) -> str:
    first, second, *more = (side.name for side in sides)
    return f"{first} and {len(more) + 1} others" if more else f"{first} and {second}"


def _shown_sides(sides: Sequence[ComparedSide], ids: tuple[str, ...]) -> tuple[ShownSide, ...]:
    bars = interval_bars(side.judgement for side in sides)
    return tuple(
        ShownSide(
            of=side,
            first_url=compare_address(_moved_to_front(ids, place)) if place else "",
            removed_url=compare_address(ids[:place] + ids[place + 1 :]) if len(ids) > 2 else "",
            bar=bar,
        )
        for place, (side, bar) in enumerate(zip(sides, bars, strict=True))
    )


def _moved_to_front(ids: tuple[str, ...], place: int) -> tuple[str, ...]:
    """The first and another one in each other's place."""
    return (ids[place], *ids[1:place], ids[0], *ids[place + 1 :])


def _setting_row(row: ComparedSetting) -> SettingRow:
    written = written_values(row)
    cells = (
        SettingCell(
            text=setting(value) if present else ABSENT,
            is_absent=not present,
            differs=one != written[0],
        )
        for value, present, one in zip(row.values, row.present, written, strict=True)
    )
    return SettingRow(path=row.path, cells=tuple(cells))
