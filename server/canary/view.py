"""Canaries and freezes as readers of the queue see them."""

from collections.abc import Iterable

from pydantic import AwareDatetime
from sqlalchemy import func
from sqlmodel import Session, col, select

from core.schema.base import Message
from server.canary.chart import Limits
from server.canary.tables import CanaryRow, WorkerFreeze

MAX_POINTS = 30
"""Canaries that a chart shows, the newest ones."""


class CanaryPoint(Message):
    """One repetition of the fixed run."""

    run_id: str
    """The run."""
    val_loss: float
    """Validation loss."""
    tokens_per_second: float
    """Training tokens over training time."""
    relative_speed: float | None
    """Speed as a multiple of the anchor's; None where the worker measured no anchor."""
    setup: str
    """Device, driver and PyTorch that it ran on."""
    is_out: bool
    """Whether it lies beyond the limits it was judged by."""
    measured_at: AwareDatetime
    """When."""


class ControlChart(Message):
    """A worker's canaries on a track, under the key of the newest."""

    track: str
    """Track name."""
    comparability_key: str
    """What was trained and evaluated on."""
    points: tuple[CanaryPoint, ...]
    """The newest 30, in order."""
    centre: float | None
    """Mean that the newest was judged by; None while there are too few to judge one."""
    low: float | None
    """Lower limit, three deviations below."""
    high: float | None
    """Upper limit, three deviations above."""


class FreezeNote(Message):
    """That nothing counts which a worker measures on a track."""

    track: str
    """Track name."""
    since: AwareDatetime
    """When it began."""
    reason: str
    """Why."""
    outcome: str
    """What measuring the baseline anew came to; empty while that is under way."""


def control_charts(session: Session) -> dict[str, tuple[ControlChart, ...]]:
    """The control charts of all workers, by the worker's id, in order of tracks."""
    newest = func.row_number().over(
        partition_by=(CanaryRow.worker_id, CanaryRow.track),
        order_by=col(CanaryRow.finished_at).desc(),
    )
    ended = select(CanaryRow.run_id, newest.label("place")).where(
        col(CanaryRow.finished_at).is_not(None), col(CanaryRow.freeze_id).is_(None)
    )
    places = ended.subquery()
    query = select(CanaryRow).join(places, places.c.run_id == CanaryRow.run_id)
    query = query.where(places.c.place <= MAX_POINTS)
    rows: dict[tuple[str, str], list[CanaryRow]] = {}
    for row in session.exec(query.order_by(col(CanaryRow.track), col(CanaryRow.finished_at))):
        rows.setdefault((row.worker_id, row.track), []).append(row)
    charts: dict[str, tuple[ControlChart, ...]] = {}
    for (worker_id, track), group in rows.items():
        charts[worker_id] = (*charts.get(worker_id, ()), _chart(track, group))
    return charts


def freeze_notes(session: Session) -> dict[str, tuple[FreezeNote, ...]]:
    """The freezes that last, by the worker's id."""
    query = select(WorkerFreeze).where(col(WorkerFreeze.thawed_at).is_(None))
    notes: dict[str, tuple[FreezeNote, ...]] = {}
    for row in session.exec(query.order_by(col(WorkerFreeze.track))):
        note = FreezeNote(
            track=row.track, since=row.frozen_at, reason=row.reason, outcome=row.outcome
        )
        notes[row.worker_id] = (*notes.get(row.worker_id, ()), note)
    return notes


def _chart(track: str, rows: list[CanaryRow]) -> ControlChart:
    newest = rows[-1]
    limits = None
    if newest.centre is not None and newest.deviation is not None:
        limits = Limits(newest.centre, newest.deviation)
    same = [row for row in rows if row.comparability_key == newest.comparability_key]
    return ControlChart(
        track=track,
        comparability_key=str(newest.comparability_key),
        points=tuple(_points(same)),
        centre=limits.centre if limits else None,
        low=limits.low if limits else None,
        high=limits.high if limits else None,
    )


def _points(rows: Iterable[CanaryRow]) -> Iterable[CanaryPoint]:
    names = {"run_id", "val_loss", "tokens_per_second", "relative_speed", "setup", "is_out"}
    for row in rows:
        values = row.model_dump(include=names)
        yield CanaryPoint.model_validate({**values, "measured_at": row.finished_at})
