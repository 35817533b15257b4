"""A claim that is sent twice, because its answer was lost, leases one job.

The lease token of a claim with a key is made from the key, so that a repetition finds the lease
of the first. Whoever does not have the key cannot make the token.
"""

import base64
import hashlib
from collections.abc import Mapping

from sqlmodel import Session, select

from core.schema.job import JobOffer
from core.schema.track import Track
from server.errors import LeaseLost
from server.experiments import stored_config
from server.lease import hold
from server.run_specs import run_spec
from server.tables import Attempt, Experiment, Run, Worker

TOKEN_BYTES = 24


def token_of(worker_id: str, key: str) -> str:
    """The lease token that a worker's claim under a key gets."""
    digest = hashlib.sha256(f"{worker_id} {key}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:TOKEN_BYTES]).decode()


def earlier_offer(
    session: Session,
    worker_id: str,
    lease_token: str,
    tracks: Mapping[str, Track],
    lease_seconds: float,
) -> JobOffer | None:
    """What an earlier claim with this token leased, its lease renewed; None if there was none.

    Raises:
        LeaseLost: that lease has ended.
    """
    # Of two such claims at the same time, one waits here for the other.
    session.get(Worker, worker_id, with_for_update=True)
    query = select(Attempt).where(
        Attempt.worker_id == worker_id, Attempt.lease_token == lease_token
    )
    attempt = session.exec(query).one_or_none()
    if attempt is None:
        return None
    job = hold(session, attempt.job_id, lease_token, lease_seconds)
    run = session.get_one(Run, job.run_id)
    experiment = session.get_one(Experiment, run.experiment_hash)
    track = tracks.get(experiment.track)
    if track is None:
        raise LeaseLost(f"track {experiment.track!r} is no longer served; claim another job.")
    return JobOffer(
        job_id=job.id,
        lease_token=lease_token,
        attempt=attempt.number,
        run=run_spec(run.id, run.seed, experiment.track_version, stored_config(experiment), track),
    )
