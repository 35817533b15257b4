"""The curves of long runs, kept condensed beside their points, so that reading them is bounded."""

import json
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    LargeBinary,
    Select,
    bindparam,
    func,
    or_,
)
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from server.curve_metrics import CurveMetric
from server.downsampling import Curve
from server.tables import Metric, Run, table_of

Curves = dict[CurveMetric, Curve]
"""Those of one run that were measured."""


class KeptCurves(SQLModel, table=True):
    """The condensed curves of a run up to a step."""

    __tablename__ = "run_curve"

    run_id: str = Field(sa_column=Column(ForeignKey("run.id"), primary_key=True))
    through_step: int = Field(sa_type=BigInteger)
    """All points up to it are told by the curves."""
    curves: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Compressed JSON: for each metric its level, steps, tokens, seconds and values."""


RUN, METRIC, KEPT = table_of(Run), table_of(Metric), table_of(KeptCurves)
ALL = tuple(CurveMetric)
LATER_POINTS = (
    select_columns(METRIC.c.run_id, METRIC.c.step, METRIC.c.tokens, METRIC.c.train_seconds)
    .select_from(RUN)
    .outerjoin(KEPT, KEPT.c.run_id == RUN.c.id)
    .join(
        METRIC,
        (METRIC.c.run_id == RUN.c.id) & (METRIC.c.step > func.coalesce(KEPT.c.through_step, -1)),
    )
    .where(RUN.c.id.in_(bindparam("runs", expanding=True)))
    .order_by(METRIC.c.run_id, METRIC.c.step)
)
"""Points that no kept curve tells of."""


def read_curves(
    session: Session, run_ids: Sequence[str], metrics: Sequence[CurveMetric] = ALL
) -> dict[str, Curves]:
    """Some curves of each run that has points, of at most 500 points each."""
    kept = select(KeptCurves).where(col(KeptCurves.run_id).in_(run_ids))
    found = {row.run_id: _unpacked(row.curves) for row in session.exec(kept)}
    later = _later_points(metrics)
    rows = session.connection().execute(later, {"runs": list(run_ids)})
    for run_id, points in groupby(rows, key=itemgetter(0)):
        found[run_id] = _followed(found.get(run_id, {}), list(points), metrics)
    return found


def keep_curves(session: Session, run_id: str, max_points: int) -> bool:
    """Take later points of a run into its kept curves; whether there may be more.

    Args:
        max_points: how many are read at most.
    """
    row = session.get(KeptCurves, run_id)
    later = _later_points(ALL).limit(max_points)
    points = session.connection().execute(later, {"runs": [run_id]}).all()
    if points:
        curves = _followed(_unpacked(row.curves) if row else {}, points, ALL)
        values = {"run_id": run_id, "through_step": points[-1].step, "curves": _packed(curves)}
        session.merge(KeptCurves.model_validate(values))
    return len(points) == max_points


@cache
def _later_points(metrics: Sequence[CurveMetric]) -> Select[Any]:
    """Those at which any of some metrics was measured."""
    columns = [METRIC.c[metric.value] for metric in metrics]
    return LATER_POINTS.add_columns(*columns).where(or_(*(one.is_not(None) for one in columns)))


def _followed(curves: Curves, points: Sequence[Any], metrics: Sequence[CurveMetric]) -> Curves:
    """Curves with later points of their run."""
    steps, tokens, seconds, *columns = list(zip(*points, strict=True))[1:]
    found: Curves = {}
    for metric, values in zip(metrics, columns, strict=True):
        before = curves.get(metric, Curve())
        curve = before.followed_by(_measured(steps, tokens, seconds, values)).condensed()
        if curve.steps:
            found[metric] = curve
    return found


def _measured(
    steps: Sequence[int],
    tokens: Sequence[int],
    seconds: Sequence[float],
    values: Sequence[float | None],
) -> Curve:
    """The points at which something was measured."""
    rows = [row for row in zip(steps, tokens, seconds, values, strict=True) if row[3] is not None]
    return _curve(zip(*rows, strict=True), 0) if rows else Curve()


def _curve(columns: Iterable[Sequence[Any]], level: int) -> Curve:
    steps, tokens, seconds, values = map(tuple, columns)
    return Curve(steps, tokens, seconds, values, level)


def _packed(curves: Curves) -> bytes:
    plain = {
        metric.value: (one.level, one.steps, one.tokens, one.train_seconds, one.values)
        for metric, one in curves.items()
    }
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode())


def _unpacked(packed: bytes) -> Curves:
    plain = json.loads(zlib.decompress(packed))
    return {
        CurveMetric(metric): _curve(columns, level) for metric, (level, *columns) in plain.items()
    }
