"""Asking for another look at an experiment: as many runs as the next verdict needs."""

from collections.abc import Mapping

from sqlmodel import Session, select

from core.schema.submission import RerunReceipt, RerunRequest
from core.schema.track import Track
from server.errors import NothingToRun
from server.experiments import stored_config
from server.ledger.entries import take_turn
from server.new_runs import queue_run, runs_under_way
from server.quota.check import expected_seconds, require_quota
from server.served_tracks import find_served_track
from server.submissions import find_submission
from server.tables import Experiment, RunPurpose
from server.verdict.board_losses import experiment_losses, newest_key
from server.verdict.looks import next_look
from server.verdict.rerun_outcomes import note_rerun


def ask_for_rerun(
    session: Session,
    tracks: Mapping[str, Track],
    submission_id: str,
    request: RerunRequest,
    quota_gpu_minutes: float,
) -> RerunReceipt:
    """Queue the runs up to the next look, less those that are under way.

    Args:
        quota_gpu_minutes: what an author may use in seven days; 0 for any amount.

    Raises:
        NotFound: there is no such submission, or its track is no longer served.
        NothingToRun: the track has a new version, the runs are queued already, or the
            experiment has had its last look.
        QuotaExceeded: whoever asks has too little left for all of them.
    """
    submission = find_submission(session, submission_id)
    track = find_served_track(submission.track, tracks)
    take_turn(session)
    locked = select(Experiment).where(Experiment.hash == submission.experiment_hash)
    experiment = session.exec(locked.with_for_update()).one()
    if experiment.track_version != track.rules.version:
        raise NothingToRun(
            f"{submission_id} is on version {experiment.track_version} of the track "
            f"{submission.track}, which is at {track.rules.version}; submit it again instead."
        )
    key = newest_key(session, experiment.hash)
    measured = len(experiment_losses(session, experiment.hash, key)) if key else 0
    look = next_look(measured)
    if look is None:
        raise NothingToRun(f"{submission_id} has {measured} runs; no verdict is taken after more.")
    missing = look - measured - runs_under_way(session, experiment.hash, key)
    if missing <= 0:
        raise NothingToRun(f"the runs that {submission_id} needs for its next verdict are queued.")
    seconds = missing * expected_seconds(stored_config(experiment), track.rules)
    require_quota(session, request.author, seconds, quota_gpu_minutes)
    runs = [
        queue_run(session, experiment, track.rules, RunPurpose.RERUN, request.author, key)
        for _ in range(missing)
    ]
    note_rerun(session, experiment.hash, key, request.author, look)
    return RerunReceipt(run_ids=tuple(run.id for run in runs), num_runs_then=look)
