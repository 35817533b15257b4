"""Submissions of an older version of their track, resolved anew on the present one.

A submission is a diff, so that it still says something when the baseline moves. Its YAML is read
as if it came today; what it is built on comes first, so that a chain moves as a whole. What holds
under the new rules is measured by idle workers.
"""

import logging
from collections.abc import Mapping

from sqlmodel import Session, col, select

from core.errors import InvalidInput
from core.proposal import Proposal, propose, read_submission
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.problem import Problem
from core.schema.track import Track
from server.board.entries import refresh_experiment
from server.experiments import ensure_experiment, stored_config
from server.idle.listing import was_queued
from server.idle.tables import Rebase, RebaseOutcome
from server.new_runs import queue_run
from server.tables import Experiment, RunPurpose, SubmissionRow
from server.verdict.tables import Withdrawal

logger = logging.getLogger(__name__)


def rebase_submissions(session: Session, tracks: Mapping[str, Track]) -> int:
    """Rebase every submission that is behind its track; how many were.

    Each is rebased once onto each version, whatever became of it.
    """
    count = 0
    for name, track in tracks.items():
        behind = _behind(session, track)
        for submission in behind:
            _rebase(session, submission, tracks)
        if behind:
            logger.info("submissions rebased", extra={"track": name, "submissions": len(behind)})
        count += len(behind)
    return count


def _behind(session: Session, track: Track) -> list[SubmissionRow]:
    """Submissions of older versions that were not rebased onto the present one, oldest first."""
    rules = track.rules
    done = select(Rebase.submission_id).where(Rebase.to_version == rules.version)
    query = (
        select(SubmissionRow)
        .join(Experiment, col(Experiment.hash) == col(SubmissionRow.experiment_hash))
        .where(Experiment.track == rules.name, Experiment.track_version < rules.version)
        .where(col(SubmissionRow.id).not_in(done))
        .order_by(col(SubmissionRow.created_at), col(SubmissionRow.id))
    )
    return list(session.exec(query))


def _rebase(session: Session, submission: SubmissionRow, tracks: Mapping[str, Track]) -> Rebase:
    """The row of one submission; its run is queued, if it is to be measured."""
    track = tracks[submission.track]
    if known := session.get(Rebase, (submission.id, track.rules.version)):
        return known
    values = {
        "submission_id": submission.id,
        "from_version": session.get_one(Experiment, submission.experiment_hash).track_version,
        "to_version": track.rules.version,
    }
    try:
        document = read_submission(submission.yaml.encode(), tracks)
        proposal = propose(document, tracks, _parent(session, submission, tracks))
    except InvalidInput as error:
        values |= {"outcome": RebaseOutcome.INVALID, "reason": str(error)}
    else:
        values |= _settle(session, submission, proposal)
    row = Rebase.model_validate(values)
    session.add(row)
    session.flush()
    if row.experiment_hash is not None:
        refresh_experiment(session, track, row.experiment_hash)
    return row


def _parent(
    session: Session, submission: SubmissionRow, tracks: Mapping[str, Track]
) -> ExperimentConfig | None:
    """Config, on the present version, of what a submission is built on.

    Raises:
        InvalidInput: that is not valid on this version.
    """
    if submission.built_on is None:
        return None
    parent = session.get_one(SubmissionRow, submission.built_on)
    rebase = _rebase(session, parent, tracks)
    if rebase.experiment_hash is None:
        message = f"{parent.id} is not valid on version {rebase.to_version} of the track."
        raise InvalidInput([Problem(path="built_on", message=message)])
    return stored_config(session.get_one(Experiment, rebase.experiment_hash))


def _settle(
    session: Session, submission: SubmissionRow, proposal: Proposal
) -> dict[str, str | RebaseOutcome]:
    """What a valid proposal comes to."""
    rules, identity = proposal.track.rules, proposal.experiment_hash
    experiment = ensure_experiment(session, identity, proposal.track, proposal.experiment)
    if identity == experiment_hash(rules.name, rules.version, proposal.track.base):
        outcome = RebaseOutcome.BASELINE
    elif session.get(Withdrawal, submission.id) is not None:
        outcome = RebaseOutcome.WITHDRAWN
    else:
        outcome = RebaseOutcome.EXPERIMENT
        if not was_queued(session, identity):
            queue_run(session, experiment, rules, RunPurpose.REBASE)
    return {"outcome": outcome, "experiment_hash": identity}
