"""What readers can wait for: the queue, a track, a run."""

from sqlmodel import Session

from core.schema.job import JobOffer
from server.tables import Job, SubmissionRow

QUEUE = "queue"
PATTERN = r"^(queue|track:[a-z0-9_]{1,40}|run:[A-Za-z0-9_-]{1,40})$"
MAX_TOPICS = 32
"""That one connection may wait for."""


def track_topic(name: str) -> str:
    """The board of a track, and its runs as they go on."""
    return f"track:{name}"


def run_topic(run_id: str) -> str:
    """A run, with each of its metric points."""
    return f"run:{run_id}"


def track_of(topic: str) -> str | None:
    """The track that a topic is of; None if it is of something else."""
    kind, _, name = topic.partition(":")
    return name if kind == "track" else None


def job_topics(session: Session, job_id: str) -> tuple[str, ...]:
    """What changes with a job."""
    job = session.get_one(Job, job_id)
    return QUEUE, track_topic(job.track), run_topic(job.run_id)


def submission_topics(session: Session, submission_id: str) -> tuple[str, ...]:
    """What changes with a submission."""
    row = session.get_one(SubmissionRow, submission_id)
    return QUEUE, track_topic(row.track), run_topic(row.run_id)


def offer_topics(offer: JobOffer) -> tuple[str, ...]:
    """What changes when a job goes to a worker."""
    return QUEUE, track_topic(offer.run.track), run_topic(offer.run.run_id)
