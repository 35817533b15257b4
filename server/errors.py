"""Errors of the server, each with the HTTP status and kind that a client sees.

ServerError
├── TokenNeeded        401  no token, or none that is valid
├── ScopeNeeded        403  a token that is not good for this
├── NotYours           403  a submission of another author
├── NotYourWorker      403  a worker that another token registered
├── NameTaken          403  an author name that belongs to somebody else
├── SignInRefused      403  a sign-in that did not come back from GitHub as it began
├── SignInNeeded       403  a form of nobody who is signed in
├── ForgedRequest      403  a browser sends what no page of the server made
├── NotFound           404  no such submission, run, job, worker or track
├── LeaseLost          409  the report's lease is not the job's current one
├── ProtocolMismatch   409  worker and server speak different versions
├── KeyReused          409  an idempotency key came with another submission
├── AlreadyEnded       409  a run that has ended cannot be cancelled
├── NotMarkable        409  a worker whose trust is not up to a maintainer
├── NothingToRun       409  no further run of an experiment would change anything
├── UploadReplaced     409  a later upload for the same job has begun
├── QuotaExceeded      422  an author has no GPU-minutes left for what is asked for
├── InvalidReport      422  a worker's report contradicts its job
├── BodyTooLarge       413  the request is larger than its route allows
├── TooManyRequests    429  the client has asked too much in too short a time
├── ParquetUnavailable 501  the server has no library to write the file with
├── GitHubUnavailable  502  GitHub does not say who signs in
├── ArtifactsUnavailable 503  checkpoints can be neither kept nor read for now
├── TooManyListeners     503  as many connections wait for changes as may
└── ReaperDied         503  the task that takes jobs back from silent workers has ended

`core.errors.InvalidInput` is a 422. `server.error_answers` turns them into answers.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from core.schema.problem import Problem


class ServerError(Exception):
    """Base of every error that the server raises on purpose; its text is for a person."""

    status: ClassVar[int]
    kind: str
    problems: tuple[Problem, ...] = ()
    headers: Mapping[str, str] = {}


class TokenNeeded(ServerError):
    """No token, or one that is unknown, expired or revoked; which of them is not said."""

    status = 401
    kind = "token_needed"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class ScopeNeeded(ServerError):
    """The token is valid, but not good for this."""

    status = 403
    kind = "scope_needed"


class NotYours(ServerError):
    """The submission is another author's."""

    status = 403
    kind = "not_yours"


class NotYourWorker(ServerError):
    """The worker was registered with another token."""

    status = 403
    kind = "not_your_worker"


class NameTaken(ServerError):
    """The author name cannot be this GitHub account's."""

    status = 403
    kind = "name_taken"


class SignInRefused(ServerError):
    """Nobody was signed in."""

    status = 403
    kind = "sign_in_refused"


class SignInNeeded(ServerError):
    """The session has ended, or there was none."""

    status = 403
    kind = "sign_in_needed"


class ForgedRequest(ServerError):
    """Another site may have made somebody's browser send the request."""

    status = 403
    kind = "forged_request"


class NotFound(ServerError):
    """What the address names does not exist."""

    status = 404
    kind = "not_found"


class LeaseLost(ServerError):
    """The job went to another worker, was cancelled, or ended; nothing of the report is stored."""

    status = 409
    kind = "lease_lost"


class ProtocolMismatch(ServerError):
    """The worker could misunderstand a job, or the server a report."""

    status = 409

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class KeyReused(ServerError):
    """The idempotency key belongs to a different submission."""

    status = 409
    kind = "idempotency_key_reused"


class AlreadyEnded(ServerError):
    """The run has a result or a failure, and keeps it."""

    status = 409
    kind = "already_ended"


class NotMarkable(ServerError):
    """The server trusts every worker, or this one has no holder who could be trusted."""

    status = 409
    kind = "not_markable"


class NothingToRun(ServerError):
    """A further run would be ranked nowhere, or is queued already."""

    status = 409
    kind = "nothing_to_run"


class UploadReplaced(ServerError):
    """The job's worker sends another checkpoint; this one is not wanted any more."""

    status = 409
    kind = "upload_replaced"


class QuotaExceeded(ServerError):
    """The author has to wait until earlier runs no longer count."""

    status = 422
    kind = "quota_exceeded"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(problem.text() for problem in self.problems))


class InvalidReport(ServerError):
    """A report that follows its schema but cannot be of this job."""

    status = 422
    kind = "invalid_report"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(problem.text() for problem in self.problems))


class BodyTooLarge(ServerError):
    """More bytes than the route allows."""

    status = 413
    kind = "body_too_large"


class TooManyRequests(ServerError):
    """The client has to wait before its next request."""

    status = 429
    kind = "too_many_requests"

    def __init__(self, seconds: int) -> None:
        self.headers = {"Retry-After": str(seconds)}
        super().__init__(f"too many requests from one client; try again in {seconds} s.")


class ParquetUnavailable(ServerError):
    """The library that writes Parquet is an extra, and not installed."""

    status = 501
    kind = "parquet_unavailable"


class GitHubUnavailable(ServerError):
    """GitHub cannot be reached, or answers what it should not."""

    status = 502
    kind = "github_unavailable"


class ArtifactsUnavailable(ServerError):
    """The store of checkpoints does not do what it was asked to."""

    status = 503
    kind = "artifacts_unavailable"


class TooManyListeners(ServerError):
    """Whoever wants to know of changes has to look again from time to time."""

    status = 503
    kind = "too_many_listeners"
    headers: Mapping[str, str] = {"Retry-After": "30"}

    def __init__(self, allowed: int) -> None:
        super().__init__(
            f"{allowed} connections wait for changes, and no more may; ask for what you want to "
            "see every few seconds instead, or try again later."
        )


class ReaperDied(ServerError):
    """The server answers, but the queue would stall."""

    status = 503
    kind = "reaper_died"
