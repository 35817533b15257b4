"""The server's API as typed calls: one client each for authors, workers and administrators."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from core.schema.access import (
    NewToken,
    TokenList,
    TokenRequest,
    TokenStatus,
    TrustRequest,
    WorkerTrust,
)
from core.schema.checkpoint import (
    LEASE_HEADER,
    SHA256_HEADER,
    STEP_HEADER,
    StoredCheckpoint,
)
from core.schema.experiment import ExperimentConfig
from core.schema.job import (
    FailureReport,
    Heartbeat,
    HeartbeatReply,
    JobOffer,
    LeaseReturn,
    LogChunk,
    MetricBatch,
    Phase,
    ResultReport,
    RunSpec,
    RunStatus,
    SubmissionReceipt,
    WorkerHello,
    WorkerRegistration,
)
from core.schema.ledger import LedgerPage
from core.schema.metric_point import EXPERT_LOAD, MetricPoint
from core.schema.quota import QuotaStatus
from core.schema.result import FailureKind, RunResult
from core.schema.submission import RerunReceipt, RerunRequest, WithdrawalRequest
from core.schema.telemetry import Telemetry, WorkerPoll
from runner.api.answers import LedgerCheck
from runner.api.transport import Transport, parse
from runner.errors import Refused

logger = logging.getLogger(__name__)

Part = TypeVar("Part", bound=BaseModel)


@dataclass(frozen=True)
class Answer:
    """An answer that is either printed as it is or read in part."""

    response: httpx.Response

    @property
    def text(self) -> str:
        """The JSON as the server sent it."""
        return self.response.text

    def read(self, model: type[Part]) -> Part:
        """The part of the answer that a model names."""
        return parse(self.response, model)


class Client:
    """Shares one connection between the calls made inside a `with` block."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def server_url(self) -> str:
        """Address of the server."""
        return self._transport.server_url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._transport.close()


class WorkerClient(Client):
    """What a worker says. Every call raises the errors of `runner.errors`."""

    def register(self, hello: WorkerHello) -> WorkerRegistration:
        """Introduce this worker."""
        return parse(self._transport.post("/workers", hello), WorkerRegistration)

    def claim(self, worker_id: str, key: str, poll: WorkerPoll) -> JobOffer | None:
        """Take the next job that fits, if there is one; the same key again gives the same lease."""
        headers = {"Idempotency-Key": key}
        response = self._transport.post(f"/workers/{worker_id}/claim", poll, headers)
        return parse(response, JobOffer) if response.content else None

    def heartbeat(
        self,
        job_id: str,
        token: str,
        phase: Phase,
        completed: int,
        total: int,
        telemetry: Telemetry | None = None,
    ) -> HeartbeatReply:
        """Renew the lease; the reply says whether to stop.

        A server from before telemetry refuses it, and gets the heartbeat without.
        """
        path = f"/jobs/{job_id}/heartbeat"
        beat = Heartbeat(lease_token=token, phase=phase, completed=completed, total=total)
        if telemetry is not None:
            try:
                full = beat.model_copy(update={"telemetry": telemetry})
                return parse(self._transport.post(path, full), HeartbeatReply)
            except Refused:
                logger.info("the server takes no telemetry", extra={"job_id": job_id})
        bare = beat.model_dump_json(exclude={"telemetry"}).encode()
        headers = {"Content-Type": "application/json"}
        return parse(self._transport.post(path, bare, headers), HeartbeatReply)

    def send_metrics(self, job_id: str, token: str, points: Sequence[MetricPoint]) -> None:
        """Report metric points.

        A server from before expert load was measured refuses it, and gets the points without.
        """
        path = f"/jobs/{job_id}/metrics"
        batch = MetricBatch(lease_token=token, points=tuple(points))
        if any(getattr(point, name) is not None for point in points for name in EXPERT_LOAD):
            try:
                self._transport.post(path, batch)
            except Refused:
                logger.info("the server takes no expert load", extra={"job_id": job_id})
            else:
                return
        bare = batch.model_dump_json(exclude={"points": {"__all__": set(EXPERT_LOAD)}})
        self._transport.post(path, bare.encode(), {"Content-Type": "application/json"})

    def send_log(self, job_id: str, token: str, offset: int, text: str) -> None:
        """Report a piece of the log that starts `offset` characters into this attempt's log."""
        chunk = LogChunk(lease_token=token, offset=offset, text=text)
        self._transport.post(f"/jobs/{job_id}/log", chunk)

    def send_result(self, job_id: str, token: str, result: RunResult) -> None:
        """Report the outcome of a job."""
        report = ResultReport(lease_token=token, result=result)
        self._transport.post(f"/jobs/{job_id}/result", report)

    def send_failure(self, job_id: str, token: str, kind: FailureKind, message: str) -> None:
        """Report that a job ended without a result."""
        report = FailureReport(lease_token=token, kind=kind, message=message)
        self._transport.post(f"/jobs/{job_id}/failure", report)

    def release(self, job_id: str, token: str) -> None:
        """Hand an unfinished job back to the queue."""
        self._transport.post(f"/jobs/{job_id}/release", LeaseReturn(lease_token=token))

    def send_checkpoint(
        self, job_id: str, token: str, checkpoint: StoredCheckpoint, pieces: Iterable[bytes]
    ) -> None:
        """Leave a checkpoint with the server; tried once, as long as it takes."""
        headers = {
            LEASE_HEADER: token,
            STEP_HEADER: str(checkpoint.step),
            SHA256_HEADER: checkpoint.sha256,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(checkpoint.num_bytes),
        }
        self._transport.put_file(f"/jobs/{job_id}/checkpoint", pieces, headers)

    def fetch_checkpoint(self, job_id: str, token: str) -> AbstractContextManager[Iterator[bytes]]:
        """The checkpoint that an earlier attempt left, piece by piece; tried once."""
        return self._transport.get_file(f"/jobs/{job_id}/checkpoint", {LEASE_HEADER: token})


class AuthorClient(Client):
    """What a person asks. Every call raises the errors of `runner.errors`."""

    def submit(self, yaml: bytes, key: str) -> SubmissionReceipt:
        """Queue a submission; the same key again gives the same receipt."""
        headers = {"Content-Type": "application/yaml", "Idempotency-Key": key}
        return parse(self._transport.post("/submissions", yaml, headers), SubmissionReceipt)

    def run(self, run_id: str) -> Answer:
        """Where a run stands, a `RunStatus`."""
        return self._read(f"/runs/{_segment(run_id)}")

    def run_spec(self, run_id: str) -> RunSpec:
        """What it takes to train a run again."""
        return parse(self._transport.get(f"/runs/{_segment(run_id)}/spec"), RunSpec)

    def submission(self, submission_id: str) -> Answer:
        """A submission, its config and its run."""
        return self._read(f"/submissions/{_segment(submission_id)}")

    def cancel(self, submission_id: str) -> RunStatus:
        """Cancel a submission's run, or ask its worker to stop."""
        path = f"/submissions/{_segment(submission_id)}/cancel"
        return parse(self._transport.post(path), RunStatus)

    def withdraw(self, submission_id: str, request: WithdrawalRequest) -> RunStatus:
        """Take a submission back; where its run stands."""
        path = f"/submissions/{_segment(submission_id)}/withdraw"
        return parse(self._transport.post(path, request), RunStatus)

    def rerun(self, submission_id: str, request: RerunRequest) -> RerunReceipt:
        """Queue as many further runs as the next verdict needs."""
        path = f"/submissions/{_segment(submission_id)}/rerun"
        return parse(self._transport.post(path, request), RerunReceipt)

    def log(self, run_id: str, lines: int) -> list[str]:
        """The last lines of a run's log."""
        response = self._transport.get(f"/runs/{_segment(run_id)}/log", tail=lines)
        return response.text.splitlines()

    def queue(self) -> Answer:
        """Jobs that run or wait."""
        return self._read("/queue")

    def board(self, track: str, key: str) -> Answer:
        """A track's board; an empty key is the default one."""
        query = {"key": key} if key else {}
        return self._read(f"/tracks/{_segment(track)}/leaderboard", **query)

    def nearest(self, track: str, config: ExperimentConfig) -> Answer:
        """What was measured on a track near a config."""
        path = f"/tracks/{_segment(track)}/nearest"
        return Answer(self._transport.post(path, config))

    def compare(self, ids: Sequence[str]) -> Answer:
        """Two to six submissions side by side."""
        return Answer(self._transport.get("/compare", id=ids))

    def quota(self, author: str) -> QuotaStatus:
        """What an author has used and has left."""
        return parse(self._transport.get(f"/quota/{_segment(author)}"), QuotaStatus)

    def ledger(self, after: int, limit: int) -> LedgerPage:
        """The ledger's entries that follow number `after`, at most `limit` of them."""
        return parse(self._transport.get("/ledger", after=after, limit=limit), LedgerPage)

    def check_ledger(self) -> LedgerCheck:
        """What the server says of its own ledger and database."""
        return parse(self._transport.get("/ledger/check"), LedgerCheck)

    def _read(self, path: str, **query: str) -> Answer:
        return Answer(self._transport.get(path, **query))


class SiteClient(Client):
    """What a browser reads. Every call raises the errors of `runner.errors`."""

    def fetch(self, address: str, accept: str = "*/*") -> httpx.Response:
        """A page or file at an address such as `/queue?page=2`; answers of status 4xx, too."""
        return self._transport.fetch(address, accept)


class AdminClient(Client):
    """What an administrator asks. Every call raises the errors of `runner.errors`."""

    def create_token(self, request: TokenRequest) -> NewToken:
        """Make an access token."""
        return parse(self._transport.post("/tokens", request), NewToken)

    def tokens(self) -> TokenList:
        """All tokens, without secrets."""
        return parse(self._transport.get("/tokens"), TokenList)

    def revoke_token(self, token_id: str) -> TokenStatus:
        """End a token at once."""
        return parse(self._transport.post(f"/tokens/{_segment(token_id)}/revoke"), TokenStatus)

    def mark_worker(self, request: TrustRequest) -> WorkerTrust:
        """Mark a worker as trusted or not."""
        return parse(self._transport.post("/workers/trust", request), WorkerTrust)


def _segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")
