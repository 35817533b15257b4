"""Which data each worker has, told by what it measured last."""

from collections.abc import Mapping

from sqlalchemy import func
from sqlmodel import Session, col, select, tuple_

from core.schema.track import Track
from server.canary.tables import CanaryRow
from server.tables import Experiment, Job, Run


def worker_keys(session: Session, worker_id: str, tracks: Mapping[str, Track]) -> dict[str, str]:
    """The key of a worker's newest result on each track's present version, canaries among them.

    A track on which it has no result is missing: nobody knows yet which data it has there.
    """
    present = [(name, track.rules.version) for name, track in tracks.items()]
    key = func.coalesce(Run.comparability_key, CanaryRow.comparability_key)
    place = func.row_number().over(
        partition_by=col(Experiment.track), order_by=(col(Run.finished_at).desc(), col(Run.id))
    )
    results = (
        select(Experiment.track, key.label("key"), place.label("place"))
        .select_from(Run)
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .outerjoin(CanaryRow, col(CanaryRow.run_id) == col(Run.id))
        .where(Job.worker_id == worker_id, key.is_not(None))
        .where(tuple_(col(Experiment.track), col(Experiment.track_version)).in_(present))
        .subquery()
    )
    newest = select(results.c.track, results.c.key).where(results.c.place == 1)
    return {track: str(key) for track, key in session.exec(newest)}
