"""From an author's YAML to a queued job, in one transaction."""

import hashlib
import logging
from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from core.errors import InvalidInput
from core.proposal import Proposal, SubmissionDocument, propose, read_submission
from core.schema.experiment import ExperimentConfig
from core.schema.job import JobState, SubmissionReceipt
from core.schema.ledger import LedgerKind
from core.schema.problem import Problem
from core.schema.track import Track
from server.access.caller import Caller, require_author
from server.board.entries import refresh_experiment
from server.database import read_session, write
from server.errors import KeyReused, NotFound
from server.experiments import ensure_experiment, first_of_experiment, stored_config
from server.identifiers import new_id
from server.idle.tables import Rebase
from server.job_queue import jobs_ahead
from server.ledger.entries import record, take_turn
from server.new_runs import queue_run
from server.quota.check import expected_seconds, require_quota
from server.quota.usage import quota_status
from server.tables import Experiment, Job, Run, RunPurpose, SubmissionRow

logger = logging.getLogger(__name__)


def accept(
    engine: Engine,
    tracks: Mapping[str, Track],
    text: bytes,
    key: str,
    base_url: str,
    caller: Caller,
    quota_gpu_minutes: float,
) -> tuple[SubmissionReceipt, bool]:
    """Validate and queue a submission; the receipt, and whether it is new.

    Args:
        text: the YAML as it was sent.
        key: the author's idempotency key; the same key again queues nothing.
        base_url: where links in the receipt start.
        caller: who sends it, and so may be its author.
        quota_gpu_minutes: what an author may use in seven days; 0 for any amount.

    Raises:
        InvalidInput: the submission is refused, with every problem.
        QuotaExceeded: the author has too little left.
        KeyReused: the key belongs to another submission.
    """
    with read_session(engine) as session:
        if earlier := _of_key(session, key, text):
            require_author(caller, earlier.author)
            return _receipt(session, earlier, base_url, quota_gpu_minutes), False
        document = read_submission(text, tracks)
        author, author_line = document.submission.author, document.lines.get(("author",))
        require_author(caller, author, author_line)
        parent = _parent(session, document, tracks)
    proposal = propose(document, tracks, parent)

    def store(session: Session) -> tuple[SubmissionReceipt, bool]:
        if earlier := _of_key(session, key, text):
            return _receipt(session, earlier, base_url, quota_gpu_minutes), False
        take_turn(session)
        seconds = expected_seconds(proposal.experiment, proposal.track.rules)
        require_quota(session, author, seconds, quota_gpu_minutes, author_line)
        row = _store(session, proposal, text.decode(), key)
        return _receipt(session, row, base_url, quota_gpu_minutes), True

    receipt, is_new = write(engine, store)
    if is_new:
        ids = {"submission_id": receipt.submission_id, "run_id": receipt.run_id}
        logger.info("submission accepted", extra=ids)
    return receipt, is_new


def find_submission(session: Session, submission_id: str) -> SubmissionRow:
    """The submission of that id.

    Raises:
        NotFound: there is none.
    """
    row = session.get(SubmissionRow, submission_id)
    if row is None:
        raise _unknown(submission_id)
    return row


def find_submissions(session: Session, ids: Sequence[str]) -> list[SubmissionRow]:
    """The submissions of these ids, in their order.

    Raises:
        NotFound: one of them does not exist.
    """
    query = select(SubmissionRow).where(col(SubmissionRow.id).in_(set(ids)))
    rows = {row.id: row for row in session.exec(query)}
    if unknown := [submission_id for submission_id in ids if submission_id not in rows]:
        raise _unknown(unknown[0])
    return [rows[submission_id] for submission_id in ids]


def _unknown(submission_id: str) -> NotFound:
    return NotFound(f"there is no submission {submission_id!r}; ids look like s_4k7m2q5xwp.")


def _of_key(session: Session, key: str, text: bytes) -> SubmissionRow | None:
    query = select(SubmissionRow).where(SubmissionRow.idempotency_key == key)
    row = session.exec(query).one_or_none()
    if row is not None and row.yaml.encode() != text:
        raise KeyReused(
            f"the Idempotency-Key {key!r} was used for another submission ({row.id}); "
            "use a new key for a new submission."
        )
    return row


def parent_config(
    session: Session, built_on: str, track: Track, line: int | None, tracks: Mapping[str, Track]
) -> ExperimentConfig:
    """Config of the submission that `built_on` names.

    Args:
        track: that of the submission which is built on it.
        line: where the name stands.

    Raises:
        InvalidInput: there is none, or none to build on.
    """
    version = track.rules.version
    row = session.get(SubmissionRow, built_on)
    experiment = session.get_one(Experiment, row.experiment_hash) if row else None
    if row is None or experiment is None:
        message = f"there is no submission {built_on!r}; ids look like s_4k7m2q5xwp."
    elif experiment.track != track.rules.name:
        message = f"{built_on} is on the track {experiment.track}; build on one of "
        message += f"{track.rules.name}, or change the track."
    elif (
        experiment.track_version != version
        and (rebase := session.get(Rebase, (built_on, version)))
        and rebase.experiment_hash
    ):
        return stored_config(session.get_one(Experiment, rebase.experiment_hash))
    elif experiment.track_version != version:
        message = f"{built_on} is on version {experiment.track_version} of the track, "
        message += f"which is now at version {version}; submit it again and build on that."
    else:
        return _written_config(session, row, tracks)
    raise InvalidInput([Problem(path="built_on", message=message, line=line)])


def _parent(
    session: Session, document: SubmissionDocument, tracks: Mapping[str, Track]
) -> ExperimentConfig | None:
    """Config of the submission that `built_on` names, if it names one."""
    submission = document.submission
    if not submission.built_on or submission.track not in tracks:
        return None
    line = document.lines.get(("built_on",))
    return parent_config(session, submission.built_on, tracks[submission.track], line, tracks)


def _written_config(
    session: Session, row: SubmissionRow, tracks: Mapping[str, Track]
) -> ExperimentConfig:
    """What a submission itself resolves to.

    Its experiment's row may be of an equal config that differs in settings of parts that are off,
    which a child may turn on.
    """
    document = read_submission(row.yaml.encode(), tracks)
    return propose(document, tracks, _parent(session, document, tracks)).experiment


def _store(session: Session, proposal: Proposal, text: str, key: str) -> SubmissionRow:
    rules, submission = proposal.track.rules, proposal.submission
    experiment = ensure_experiment(
        session, proposal.experiment_hash, proposal.track, proposal.experiment
    )
    run = queue_run(session, experiment, rules, RunPurpose.SUBMISSION, submission.author)
    row = SubmissionRow.model_validate(
        {
            "id": new_id("s"),
            "experiment_hash": experiment.hash,
            "track": rules.name,
            "name": submission.name,
            "author": submission.author,
            "hypothesis": submission.hypothesis,
            "built_on": submission.built_on or None,
            "yaml": text,
            "idempotency_key": key,
            "run_id": run.id,
        }
    )
    session.add(row)
    session.flush()
    # A baseline or an ablation may be on a board already, under another name.
    refresh_experiment(session, proposal.track, experiment.hash)
    contents: dict[str, JsonValue] = {
        "author": row.author,
        "track": row.track,
        "experiment": row.experiment_hash,
        "run": row.run_id,
        "yaml": hashlib.sha256(text.encode()).hexdigest(),
    }
    record(session, LedgerKind.SUBMISSION, row.id, contents)
    return row


def _receipt(
    session: Session, row: SubmissionRow, base_url: str, quota_gpu_minutes: float
) -> SubmissionReceipt:
    run = session.get_one(Run, row.run_id)
    job = session.exec(select(Job).where(Job.run_id == run.id)).one()
    first = first_of_experiment(session, row.experiment_hash)
    return SubmissionReceipt(
        submission_id=row.id,
        run_id=run.id,
        seed=run.seed,
        experiment_hash=row.experiment_hash,
        duplicate_of=first.id if first and first.id != row.id else None,
        jobs_ahead=jobs_ahead(session, job) if job.state is JobState.QUEUED else 0,
        url=f"{base_url}/submissions/{row.id}",
        quota=quota_status(session, row.author, quota_gpu_minutes),
    )
