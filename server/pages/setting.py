"""The pages of a track's settings: all of them, and each with what was tried."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track, TrackRules
from server.formatting import setting as written
from server.memory.response_chart import ResponseChart, response_chart
from server.memory.settings import (
    SettingMemory,
    SettingSummary,
    TrackMemory,
    setting_memory,
    track_memory,
)
from server.memory.tally import BestEffect
from server.pages.page import Page
from server.verdict.bar import IntervalBar, interval_bars
from server.verdict.judge import Verdict


@dataclass(frozen=True, kw_only=True)
class SettingGroup:
    """Settings that belong together."""

    name: str
    """Dotted path of the group."""
    settings: tuple[SettingSummary, ...]


@dataclass(frozen=True, kw_only=True)
class SettingsPage(Page):
    """Context of `settings.html`."""

    rules: TrackRules
    memory: TrackMemory
    groups: tuple[SettingGroup, ...]
    query: str
    """What links to the settings end with, so that they stay under the key; may be empty."""


@dataclass(frozen=True, kw_only=True)
class SettingPage(Page):
    """Context of `setting.html`."""

    rules: TrackRules
    setting: SettingMemory
    chart: ResponseChart | None
    """None where no experiment of the page has an effect."""
    bars: Mapping[str, IntervalBar | None]
    """The interval of each experiment, by its hash, on one scale."""
    best_known: str
    """The best known value in a sentence."""
    url: str
    """Address of this page without its page number."""
    query: str
    """What links to other settings end with, so that they stay under the key; may be empty."""


def settings_page(session: Session, track: Track, key: str | None = None) -> SettingsPage:
    """Every setting of a track.

    Raises:
        NotFound: the track has no result under that key.
    """
    memory, query = track_memory(session, track, key), _query(key)
    groups: dict[str, list[SettingSummary]] = {}
    for setting in memory.settings:
        groups.setdefault(setting.group, []).append(setting)
    return SettingsPage(
        title=f"Settings of {track.rules.title}",
        section="tracks",
        json_url=f"/api/v1/tracks/{track.rules.name}/settings{query}",
        rules=track.rules,
        memory=memory,
        groups=tuple(
            SettingGroup(name=name, settings=tuple(settings)) for name, settings in groups.items()
        ),
        query=query,
    )


def setting_page(
    session: Session, track: Track, path: str, key: str | None = None, page: int = 1
) -> SettingPage:
    """One setting of a track.

    Raises:
        NotFound: there is no such setting or page, or the track has no result under that key.
    """
    setting, query = setting_memory(session, track, path, key, page), _query(key)
    tried = [experiment for value in setting.values for experiment in value.experiments]
    url = f"/tracks/{track.rules.name}/settings/{path}{query}"
    numbered = "" if page == 1 else f"{'&' if query else '?'}page={page}"
    return SettingPage(
        title=path,
        section="tracks",
        json_url=f"/api/v1{url}{numbered}",
        rules=track.rules,
        setting=setting,
        chart=response_chart(setting),
        bars=dict(
            zip(
                [experiment.experiment_hash for experiment in tried],
                interval_bars(experiment.verdict for experiment in tried),
                strict=True,
            )
        ),
        best_known=_best_known(setting.best),
        url=f"{url}{'&' if query else '?'}page=",
        query=query,
    )


def _query(key: str | None) -> str:
    return f"?key={key}" if key else ""


def _best_known(best: BestEffect | None) -> str:
    if best is None:
        return "not known: no judged experiment changed this alone."
    if best.verdict is Verdict.BETTER:
        return f"{written(best.value)}, better than the baseline's when nothing else changes."
    return "the baseline's: no other was better when nothing else changes."
