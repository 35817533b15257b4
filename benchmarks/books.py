"""Whether the books of a server balance: submissions, runs, jobs, attempts, metrics, charges,
ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import isclose

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from core.schema.job import JobState
from server.database import read_session
from server.lease import MAX_FAULTS
from server.ledger.check import check_ledger
from server.ledger.tables import LedgerRow
from server.quota.tables import Charge, ChargeKind
from server.tables import Attempt, AttemptOutcome, Job, LogPiece, Metric, Run, SubmissionRow


def imbalances(engine: Engine, accepted: Mapping[str, str], num_steps: int) -> list[str]:
    """What does not hold, a sentence each.

    Args:
        accepted: run by submission, of all that were acknowledged.
        num_steps: of every run that succeeded.
    """
    with read_session(engine) as session:
        jobs = list(session.exec(select(Job)))
        return [
            *_submissions(session, accepted),
            *_runs(session, jobs),
            *_attempts(session, jobs),
            *_metrics(session, jobs, num_steps),
            *_logs(session),
            *_charges(session, jobs),
            *check_ledger(session).faults,
        ]


def counts(engine: Engine) -> dict[str, str]:
    """What there is, for a table."""
    with read_session(engine) as session:
        purposes = Counter(f"{purpose}" for purpose in session.exec(select(Run.purpose)))
        jobs = session.exec(select(Job.state, Job.failure)).all()
        states = Counter(str(failure or state) for state, failure in jobs)
        outcomes = Counter(str(outcome) for outcome in session.exec(select(Attempt.outcome)))
        num_points = session.exec(select(func.count()).select_from(Metric)).one()
        num_entries = session.exec(select(func.count()).select_from(LedgerRow)).one()
        charges = Counter(f"{kind}" for kind in session.exec(select(Charge.kind)))
    return {
        "runs": _listed(purposes),
        "jobs": _listed(states),
        "attempts": _listed(outcomes),
        "charges and refunds": _listed(charges),
        "metric points": f"{num_points:,}",
        "entries of the ledger": f"{num_entries:,}",
    }


def _listed(counter: Counter[str]) -> str:
    return f"{counter.total():,}: " + ", ".join(f"{n} {what}" for what, n in counter.most_common())


def _submissions(session: Session, accepted: Mapping[str, str]) -> Iterator[str]:
    stored = dict(session.exec(select(SubmissionRow.id, SubmissionRow.run_id)).all())
    for submission, run in accepted.items():
        if stored.pop(submission, None) != run:
            yield f"submission {submission} was acknowledged and is not there with run {run}"
    yield from (f"submission {submission} was never acknowledged" for submission in stored)


def _runs(session: Session, jobs: list[Job]) -> Iterator[str]:
    by_run = {job.run_id: job for job in jobs}
    measured = session.exec(select(Run.id, Run.val_loss, Run.origin)).all()
    for run, val_loss, origin in measured:
        job = by_run.get(run)
        if origin == "project":
            continue
        if job is None:
            yield f"run {run} has no job"
        elif (job.state is JobState.SUCCEEDED) != (val_loss is not None):
            yield f"run {run} is {job.state} and its loss is {val_loss}"


def _attempts(session: Session, jobs: list[Job]) -> Iterator[str]:
    by_job: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in session.exec(select(Attempt).order_by(col(Attempt.number))):
        by_job[attempt.job_id].append(attempt)
    for job in jobs:
        attempts = by_job.pop(job.id, [])
        outcomes = [attempt.outcome for attempt in attempts]
        num_open, num_results = outcomes.count(None), outcomes.count(AttemptOutcome.RESULT)
        faults = [a.failure for a in attempts if a.failure and a.failure.is_platform_fault]
        if [attempt.number for attempt in attempts] != list(range(1, job.attempt + 1)):
            yield f"job {job.id} counts {job.attempt} attempts and has {len(attempts)}"
        if num_open != (job.state is JobState.RUNNING):
            yield f"job {job.id} is {job.state} and has {num_open} open attempts"
        if num_results != (job.state is JobState.SUCCEEDED):
            yield f"job {job.id} is {job.state} and has {num_results} attempts with a result"
        if len(faults) > MAX_FAULTS:
            yield f"job {job.id} was tried after {MAX_FAULTS} faults"
        is_given_up = job.state is JobState.FAILED and job.failure in faults
        if is_given_up and len(faults) != MAX_FAULTS:
            yield f"job {job.id} was given up after {len(faults)} faults"
    yield from (f"attempts of job {job} are left without it" for job in by_job)


def _metrics(session: Session, jobs: list[Job], num_steps: int) -> Iterator[str]:
    steps: dict[str, list[int]] = defaultdict(list)
    query = select(Metric.run_id, Metric.step).order_by(col(Metric.run_id), col(Metric.step))
    for run, step in session.exec(query):
        steps[run].append(step)
    last = select(Metric.run_id, Metric.val_loss).where(Metric.step == num_steps)
    reached = dict(session.exec(last).all())
    losses = dict(session.exec(select(Run.id, Run.val_loss)).all())
    for job in jobs:
        if job.state is not JobState.SUCCEEDED:
            continue
        run = job.run_id
        if steps[run] != list(range(1, num_steps + 1)):
            yield f"run {run} has {len(steps[run])} of {num_steps} points"
        elif reached.get(run) != losses[run]:
            yield f"run {run} has another loss in its curve than in its result"


def _logs(session: Session) -> Iterator[str]:
    order = (col(LogPiece.run_id), col(LogPiece.attempt), col(LogPiece.offset))
    ends: dict[tuple[str, int], int] = {}
    for piece in session.exec(select(LogPiece).order_by(*order)):
        log = (piece.run_id, piece.attempt)
        is_next = piece.offset == ends.get(log, 0)
        ends[log] = piece.offset + len(piece.text)
        if not is_next:
            yield f"the log of run {piece.run_id}, attempt {piece.attempt}, has a gap"


def _charges(session: Session, jobs: list[Job]) -> Iterator[str]:
    """Each attempt of an author's run is charged once; nothing else is in the book."""
    payers = {job.id: job.charged_to for job in jobs}
    booked: dict[tuple[str, int], dict[ChargeKind, Charge]] = defaultdict(dict)
    for charge in session.exec(select(Charge)):
        booked[charge.job_id, charge.attempt][charge.kind] = charge
    for attempt in session.exec(select(Attempt).where(col(Attempt.ended_at).is_not(None))):
        payer = payers.get(attempt.job_id, "")
        yield from _booking(attempt, payer, booked.pop((attempt.job_id, attempt.number), {}))
    yield from (
        f"attempt {number} of job {job} is booked and has not ended" for job, number in booked
    )


def _booking(attempt: Attempt, payer: str, rows: Mapping[ChargeKind, Charge]) -> Iterator[str]:
    """It is refunded just if the author is not to blame."""
    is_fault = attempt.failure is not None and attempt.failure.is_platform_fault
    expected = [ChargeKind.CHARGE] if payer else []
    if payer and (is_fault or attempt.outcome is AttemptOutcome.RETURNED):
        expected.append(ChargeKind.REFUND)
    name = f"attempt {attempt.number} of job {attempt.job_id}"
    if sorted(rows) != expected:
        booked = ", ".join(sorted(rows)) or "nothing"
        yield f"{name} ended by {attempt.failure or attempt.outcome}, and booked is {booked}"
    assert attempt.ended_at is not None
    seconds = (attempt.ended_at - attempt.started_at).total_seconds() * attempt.num_devices
    for kind, row in rows.items():
        if row.author != payer:
            yield f"{name} is paid for by {payer!r}, and its {kind} is of {row.author!r}"
        if not isclose(row.gpu_seconds, max(0.0, seconds), abs_tol=1e-6):
            yield f"{name} took {seconds} s, and its {kind} is {row.gpu_seconds} s"
