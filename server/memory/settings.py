"""What each setting was tried at, and what came of it: nothing that was measured is left out."""

import json
from collections.abc import Iterator, Sequence

from pydantic import JsonValue
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.overrides import Change
from core.schema.setting_names import setting_names
from core.schema.track import Track
from server.board_keys import board_keys, shown_key
from server.errors import NotFound
from server.memory.change_rows import Changed, base_values, stored_changes
from server.memory.outcomes import Outcome, is_measured, outcomes_of
from server.memory.setting_facts import SettingFacts, setting_facts
from server.memory.tables import ExperimentChange
from server.memory.tally import BestEffect, tally

PER_PAGE = 100
"""Experiments on a page."""


class SettingSummary(SettingFacts):
    """A setting, and in short what was tried of it."""

    is_open: bool
    """Whether a submission to the track may change it."""
    baseline: JsonValue
    """The baseline's value; None where it has no such setting."""
    num_experiments: int
    """Experiments that changed it, measured or not."""
    best: BestEffect | None
    """Of the judged experiments that changed nothing else; None without one."""


class TrackMemory(Message):
    """Every setting of a track's config, and in short what was tried of it."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key of the results; None while the track has none."""
    settings: tuple[SettingSummary, ...]
    """In the order of the schema."""


class TriedExperiment(Outcome):
    """An experiment that has a value, and what it gave."""

    is_only_change: bool
    """Whether nothing else differs from the baseline, so that the value alone made the effect."""
    other_changes: tuple[Change, ...]
    """What else differs from the baseline."""


class MeasuredValue(Message):
    """A value of a setting that was measured."""

    value: JsonValue
    """As in the canonical form of the config; None where another kind has no such setting."""
    experiments: tuple[TriedExperiment, ...]
    """Those that have it: first those that changed nothing else, the lowest loss first."""


class SettingMemory(SettingSummary):
    """A setting, and what was tried in place of the baseline's value."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key of the results; None while the track has none."""
    page: int
    """From 1. The first page has the experiments that changed the least besides."""
    has_next: bool
    """Whether more experiments follow on the next page."""
    values: tuple[MeasuredValue, ...]
    """Of this page's experiments: from the smallest, or in the order of the alphabet."""


def track_memory(session: Session, track: Track, key: str | None = None) -> TrackMemory:
    """Every setting, and in short what was tried of it under a key or the board's.

    Raises:
        NotFound: the track has no result under that key.
    """
    key = shown_key(board_keys(session, track), track, key)
    settings = tuple(_summaries(session, track, key, setting_names()))
    return TrackMemory(track=track.rules.name, key=key, settings=settings)


def setting_memory(
    session: Session, track: Track, path: str, key: str | None = None, page: int = 1
) -> SettingMemory:
    """One setting with a page of the experiments that changed it.

    Raises:
        NotFound: there is no such setting or page, or the track has no result under that key.
    """
    facts = setting_facts(path)
    key = shown_key(board_keys(session, track), track, key)
    [summary] = _summaries(session, track, key, [facts.path])
    rows = _rows(session, track, key, path, page) if key else []
    if page > 1 and not rows:
        raise NotFound(f"page {page} of {path} is past the end; the pages before it have all.")
    shown = rows[:PER_PAGE]
    return SettingMemory(
        **dict(summary),
        track=track.rules.name,
        key=key,
        page=page,
        has_next=len(rows) > PER_PAGE,
        values=_values(session, track, key, shown) if key else (),
    )


def _summaries(
    session: Session, track: Track, key: str | None, paths: Sequence[str]
) -> Iterator[SettingSummary]:
    counted, baseline = tally(session, track, key), base_values(track)
    for path in paths:
        yield SettingSummary(
            **dict(setting_facts(path)),
            is_open=track.rules.is_open(path),
            baseline=baseline.get(path),
            num_experiments=counted.num_experiments.get(path, 0),
            best=counted.best.get(path),
        )


def _rows(
    session: Session, track: Track, key: str, path: str, page: int
) -> Sequence[ExperimentChange]:
    """A page of what changes a setting and has a result, and one row more if there is one."""
    change = ExperimentChange
    query = select(change).where(change.track == track.rules.name, change.path == path)
    query = query.where(is_measured(col(change.experiment_hash), key))
    query = query.order_by(col(change.num_changes), col(change.experiment_hash))
    return session.exec(query.offset((page - 1) * PER_PAGE).limit(PER_PAGE + 1)).all()


def _values(
    session: Session, track: Track, key: str, rows: Sequence[ExperimentChange]
) -> tuple[MeasuredValue, ...]:
    identities = [row.experiment_hash for row in rows]
    outcomes = outcomes_of(session, track, key, identities)
    changed, baseline = stored_changes(session, identities), base_values(track)
    values: dict[str, list[TriedExperiment]] = {}
    for row in rows:
        others = _others(changed[row.experiment_hash], row.path, baseline)
        tried = TriedExperiment(
            **dict(outcomes[row.experiment_hash]),
            is_only_change=not others,
            other_changes=others,
        )
        values.setdefault(row.value, []).append(tried)
    found = [(json.loads(text), tried) for text, tried in values.items()]
    return tuple(
        MeasuredValue(value=value, experiments=tuple(sorted(tried, key=_order)))
        for value, tried in sorted(found, key=lambda entry: in_order(entry[0]))
    )


def _others(changed: Changed, path: str, baseline: Changed) -> tuple[Change, ...]:
    return tuple(
        Change(path=other, before=baseline.get(other), after=value)
        for other, value in changed.items()
        if other != path
    )


def in_order(value: JsonValue) -> tuple[bool, float, str]:
    """What values are sorted by: numbers by size, then everything else by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, value, ""
    return True, 0.0, json.dumps(value, sort_keys=True)


def _order(experiment: TriedExperiment) -> tuple[bool, bool, float, str]:
    is_unknown = experiment.delta is None
    delta = experiment.delta or 0.0
    return not experiment.is_only_change, is_unknown, delta, experiment.experiment_hash
