"""Drawing from new results what follows from them, for many of them at once.

What follows is told by the runs alone: rows of boards, whether what untrusted workers measured
agrees, verdicts, records, and the runs to queue. So it may come later than the results, and be
drawn twice.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select
from sqlmodel import Session

from core.schema.track import Track
from server.board.entries import refresh_entries
from server.ledger.entries import take_turn
from server.settlement.tables import UnsettledResult
from server.tables import Experiment, Job, Run, table_of
from server.verdict.judging import judge_anew, make_up_for

NOTE, RUN = table_of(UnsettledResult), table_of(Run)
JOB, EXPERIMENT = table_of(Job), table_of(Experiment)
ANY_UNSETTLED = select(NOTE.c.run_id).limit(1)
UNSETTLED = (
    select(
        RUN.c.id.label("run_id"),
        JOB.c.id.label("job_id"),
        JOB.c.only_key,
        JOB.c.charged_to,
        EXPERIMENT.c.track,
        EXPERIMENT.c.track_version,
        RUN.c.comparability_key,
        RUN.c.experiment_hash,
    )
    .join_from(NOTE, RUN, RUN.c.id == NOTE.c.run_id)
    .join(JOB, JOB.c.run_id == RUN.c.id)
    .join(EXPERIMENT, EXPERIMENT.c.hash == RUN.c.experiment_hash)
    .order_by(RUN.c.finished_at, RUN.c.id)
)
FIRST_UNSETTLED = UNSETTLED.where(NOTE.c.run_id.not_in(bindparam("skipped", expanding=True))).limit(
    bindparam("limit")
)
SETTLED = delete(NOTE).where(NOTE.c.run_id.in_(bindparam("settled", expanding=True)))


class Unsettled(NamedTuple):
    """A result that is not settled yet."""

    run_id: str
    job_id: str
    only_key: str | None
    """The board that waited for it; None if any result is welcome."""
    charged_to: str
    track: str
    track_version: int
    key: str
    experiment_hash: str


def any_unsettled(session: Session) -> bool:
    """Whether there is anything to do."""
    return session.connection().execute(ANY_UNSETTLED).first() is not None


def first_unsettled(session: Session, limit: int, skipped: Collection[str]) -> list[Unsettled]:
    """The results that came first of those that are not settled, for this transaction alone.

    Args:
        skipped: runs whose results are not asked for.
    """
    take_turn(session)
    asked = {"limit": limit, "skipped": list(skipped)}
    return [Unsettled(*row) for row in session.connection().execute(FIRST_UNSETTLED, asked)]


def settle(
    session: Session,
    results: Sequence[Unsettled],
    tracks: Mapping[str, Track],
    queues_runs: bool,
) -> None:
    """Draw from some results what follows from them.

    Args:
        queues_runs: whether runs that would settle verdicts are queued.
    """
    boards: dict[tuple[str, int, str], set[str]] = {}
    for result in results:
        board = result.track, result.track_version, result.key
        boards.setdefault(board, set()).add(result.experiment_hash)
    for (name, version, key), experiments in boards.items():
        track = tracks.get(name)
        if track is None:
            continue
        if version == track.rules.version:
            judge_anew(session, track, key, experiments, queues_runs)
        else:
            refresh_entries(session, track, key, experiments)
    for result in results:
        if result.only_key not in (None, result.key):
            make_up_for(session, session.get_one(Job, result.job_id), tracks, queues_runs)
    session.flush()
    settled = [result.run_id for result in results]
    session.connection().execute(SETTLED, {"settled": settled})
