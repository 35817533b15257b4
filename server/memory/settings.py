"""What each setting was tried at, and what came of it: nothing that was measured is left out."""

import json
from collections.abc import Iterable, Mapping

from pydantic import JsonValue
from sqlmodel import Session

from core.schema.base import Message
from core.schema.canonical import canonical
from core.schema.overrides import Change, settings_of
from core.schema.setting_names import nearest_name, setting_names
from core.schema.track import Track
from server.board_keys import board_keys, shown_key
from server.errors import NotFound
from server.memory.changes import StartingPoint
from server.memory.measured import Outcome, measured_experiments


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


class SettingMemory(Message):
    """A setting, and all that was tried in place of the baseline's value."""

    path: str
    """Dotted path of the setting."""
    baseline: JsonValue
    """The baseline's value; None where it has no such setting."""
    num_experiments: int
    """Experiments that changed it."""
    values: tuple[MeasuredValue, ...]
    """From the smallest, or in the order of the alphabet."""


class TrackMemory(Message):
    """What was tried on a track, by setting."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key of the results; None while the track has none."""
    settings: tuple[SettingMemory, ...]
    """Settings that a measured experiment changed, by name; or the one that was asked for."""


def track_memory(session: Session, track: Track, key: str | None = None) -> TrackMemory:
    """Every setting that a measured experiment changed, under a key or the board's.

    Raises:
        NotFound: the track has no result under that key.
    """
    key = shown_key(board_keys(session, track), track, key)
    tried = _tried(session, track, key)
    settings = tuple(_setting(path, tried[path], track) for path in sorted(tried))
    return TrackMemory(track=track.rules.name, key=key, settings=settings)


def setting_memory(
    session: Session, track: Track, path: str, key: str | None = None
) -> TrackMemory:
    """One setting, whether or not an experiment changed it.

    Raises:
        NotFound: there is no such setting, or the track has no result under that key.
    """
    names = setting_names()
    if path not in names:
        near = nearest_name(path, names)
        hint = f"; did you mean {near}?" if near else "."
        raise NotFound(f"there is no setting {path!r}{hint}")
    key = shown_key(board_keys(session, track), track, key)
    setting = _setting(path, _tried(session, track, key).get(path, ()), track)
    return TrackMemory(track=track.rules.name, key=key, settings=(setting,))


_Tried = tuple[JsonValue, TriedExperiment]
"""A value, and an experiment that has it."""


def _tried(session: Session, track: Track, key: str | None) -> Mapping[str, list[_Tried]]:
    """By the paths of settings."""
    tried: dict[str, list[_Tried]] = {}
    baseline = StartingPoint(track.base)
    for measured in measured_experiments(session, track, key):
        changes = baseline.changes_to(measured.form)
        for change in changes:
            experiment = TriedExperiment(
                **dict(measured.outcome),
                is_only_change=len(changes) == 1,
                other_changes=tuple(other for other in changes if other is not change),
            )
            tried.setdefault(change.path, []).append((change.after, experiment))
    return tried


def _setting(path: str, tried: Iterable[_Tried], track: Track) -> SettingMemory:
    values: dict[str, tuple[JsonValue, list[TriedExperiment]]] = {}
    for value, experiment in tried:
        text = json.dumps(value, sort_keys=True)
        values.setdefault(text, (value, []))[1].append(experiment)
    ordered = sorted(values.values(), key=lambda entry: _place(entry[0]))
    return SettingMemory(
        path=path,
        baseline=settings_of(canonical(track.base)).get(path),
        num_experiments=sum(len(experiments) for _, experiments in ordered),
        values=tuple(
            MeasuredValue(value=value, experiments=tuple(sorted(experiments, key=_order)))
            for value, experiments in ordered
        ),
    )


def _place(value: JsonValue) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, value, ""
    return True, 0.0, json.dumps(value, sort_keys=True)


def _order(experiment: TriedExperiment) -> tuple[bool, bool, float, str]:
    is_unknown = experiment.delta is None
    delta = experiment.delta or 0.0
    return not experiment.is_only_change, is_unknown, delta, experiment.experiment_hash
