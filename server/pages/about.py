"""The page that says how the numbers come about."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track
from server.pages.page import Page
from server.verdict.noise_chart import NoiseChart, noise_chart
from server.verdict.repeats import AboutNumbers, TrackNoise, about_numbers


@dataclass(frozen=True, kw_only=True)
class ShownNoise:
    """The noise of a track, and its chart."""

    track: TrackNoise
    chart: NoiseChart | None
    """None while nothing ran twice."""


@dataclass(frozen=True, kw_only=True)
class AboutPage(Page):
    """Context of `about.html`."""

    numbers: AboutNumbers
    noise: tuple[ShownNoise, ...]
    """Tracks with a chart first."""


def about_page(session: Session, tracks: Mapping[str, Track]) -> AboutPage:
    """The page about the numbers."""
    numbers = about_numbers(session, tracks)
    shown = [ShownNoise(track=track, chart=noise_chart(track)) for track in numbers.tracks]
    return AboutPage(
        title="About the numbers",
        section="about",
        json_url="/api/v1/about",
        numbers=numbers,
        noise=tuple(sorted(shown, key=lambda one: one.chart is None)),
    )
