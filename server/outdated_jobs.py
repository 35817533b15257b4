"""Jobs that were queued before their track got a new version, and are not to be run any more."""

import logging
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, exists, false, or_
from sqlmodel import Session, col, select, tuple_

from core.schema.job import JobState
from core.schema.result import FailureKind
from core.schema.track import Track
from server.claim_order import IS_QUEUED
from server.lease import close
from server.tables import Experiment, Job, Run, table_of

JOB = table_of(Job)

logger = logging.getLogger(__name__)


def any_outdated(present: Iterable[tuple[str, int]]) -> ColumnElement[bool]:
    """Whether `cancel_outdated` has anything to do, as a condition that an index answers.

    Args:
        present: each track that is served, with its version.
    """
    # `!=` would read all of a track's jobs instead of the two ends of a range.
    versions = JOB.c.track_version
    return or_(
        false(),
        *(
            exists().where(IS_QUEUED, JOB.c.track == track, is_other)
            for track, version in present
            for is_other in (versions < version, versions > version)
        ),
    )


def cancel_outdated(session: Session, tracks: Mapping[str, Track]) -> int:
    """Cancel every queued job of another version than its track's present one; how many were.

    Its config was checked against the rules of that version, and its result would be on a board
    that nobody looks at. Jobs of tracks that are not served wait until they are.
    """
    present = [(name, track.rules.version) for name, track in tracks.items()]
    version_of = tuple_(col(Experiment.track), col(Experiment.track_version))
    query = (
        select(Job, Experiment)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.state == JobState.QUEUED, col(Experiment.track).in_(list(tracks)))
        .where(version_of.not_in(present))
        .order_by(col(Job.position), col(Job.id))
        .with_for_update(skip_locked=True, of=Job)
    )
    outdated = session.exec(query).all()
    for job, experiment in outdated:
        message = _message(experiment, tracks[experiment.track].rules.version)
        close(session, job, JobState.CANCELLED, FailureKind.CANCELLED, message)
        extra = {"job_id": job.id, "track": experiment.track}
        logger.info("job of an older version cancelled", extra=extra)
    session.flush()
    return len(outdated)


def _message(experiment: Experiment, version: int) -> str:
    return (
        f"The track {experiment.track} is now version {version}, and this run was queued under "
        f"version {experiment.track_version}. The server cancelled it: submit it again, unless "
        "idle workers measure it on the new version, as its page says."
    )
