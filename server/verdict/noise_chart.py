"""Where to draw the losses of repeated runs around their means."""

import statistics
from dataclasses import dataclass

from server.axis import Tick, linear_axis
from server.verdict.repeats import TrackNoise

LEFT, RIGHT, TOP, BOTTOM = 48.0, 350.0, 12.0, 180.0
"""Edges of the area of the points, in a picture 360 wide and 200 high."""
BAND = 1.5
"""The picture shows so many pooled deviations at least."""
OUTLIER = 4.0
"""What lies more pooled deviations away is drawn at the edge."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A run's place."""

    x: float
    y: float
    is_baseline: bool
    is_beyond: bool
    """Whether it lies outside of the picture."""


@dataclass(frozen=True, kw_only=True)
class NoiseChart:
    """Places of the parts of a picture 360 wide and 200 high."""

    repeats: tuple[Repeat, ...]
    y_ticks: tuple[Tick, ...]
    zero_y: float
    """Height of the means."""
    band_y: float
    """Upper edge of the band of one pooled deviation on both sides."""
    band_height: float


def noise_chart(track: TrackNoise) -> NoiseChart | None:
    """The chart of a track; None while nothing ran twice."""
    if track.noise is None or not track.experiments:
        return None
    deviation = track.noise.deviation
    means = [statistics.fmean(experiment.losses) for experiment in track.experiments]
    distances = [
        [loss - mean for loss in experiment.losses]
        for experiment, mean in zip(track.experiments, means, strict=True)
    ]
    farthest = max(abs(distance) for group in distances for distance in group)
    reach = max(BAND * deviation, min(farthest, OUTLIER * deviation))
    axis = linear_axis(-reach, reach, BOTTOM, TOP, signed=True)
    column = (RIGHT - LEFT) / len(distances)
    band_y = axis.place(deviation)
    return NoiseChart(
        repeats=tuple(
            Repeat(
                x=round(LEFT + column * (index + 0.5), 2),
                y=axis.place(distance),
                is_baseline=experiment.is_baseline,
                is_beyond=not axis.holds(distance),
            )
            for index, (experiment, group) in enumerate(
                zip(track.experiments, distances, strict=True)
            )
            for distance in group
        ),
        y_ticks=axis.ticks,
        zero_y=axis.place(0.0),
        band_y=band_y,
        band_height=round(axis.place(-deviation) - band_y, 2),
    )
