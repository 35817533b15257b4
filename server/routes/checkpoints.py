"""Checkpoints of unfinished jobs: left by the holder of the lease, fetched by the next one."""

from collections.abc import AsyncIterator, Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Engine
from starlette.requests import ClientDisconnect

from core.schema.base import MAX_COUNT
from core.schema.checkpoint import LEASE_HEADER, SHA256, SHA256_HEADER, STEP_HEADER
from server.access.caller import Caller
from server.access.requirement import Reporter
from server.access.worker_tokens import require_lease_holder
from server.artifacts.checkpoints import find_checkpoint, keep_checkpoint
from server.artifacts.incoming import IncomingCheckpoint, require_size
from server.database import write_session
from server.dependencies import Checkpoints, Database, Settings
from server.error_answers import guarded
from server.lease import hold

router = APIRouter(prefix="/jobs/{job_id}/checkpoint", tags=["jobs"])
PART_BYTES = 1024 * 1024
BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}

LeaseToken = Annotated[str, Header(alias=LEASE_HEADER, min_length=1, max_length=64)]


@router.put(
    "",
    status_code=204,
    responses=guarded(404, 409, 413),
    openapi_extra={"requestBody": {"required": True, **BINARY}},
)
async def put_checkpoint(
    request: Request,
    job_id: str,
    lease_token: LeaseToken,
    step: Annotated[int, Header(alias=STEP_HEADER, ge=0, le=MAX_COUNT)],
    sha256: Annotated[str, Header(alias=SHA256_HEADER, pattern=SHA256)],
    caller: Reporter,
    database: Database,
    settings: Settings,
    checkpoints: Checkpoints,
) -> Response:
    """Leave a checkpoint, which replaces an earlier one once it has arrived whole."""
    lease_seconds = settings.lease_seconds
    attempt = await run_in_threadpool(
        _require_lease, database, caller, job_id, lease_token, lease_seconds
    )
    # Before any of it is read.
    require_size(int(request.headers.get("Content-Length", "0")), checkpoints.max_bytes)
    incoming = await run_in_threadpool(checkpoints.begin, job_id, attempt, step)
    try:
        async for part in _parts(request):
            await run_in_threadpool(incoming.write, part)
        replaced = await run_in_threadpool(
            _keep, database, incoming, job_id, lease_token, sha256, lease_seconds
        )
    except ClientDisconnect:
        # Half a checkpoint is none; nobody reads the answer.
        return Response(status_code=400)
    finally:
        await run_in_threadpool(checkpoints.end, job_id, incoming)
    if replaced is not None:
        await run_in_threadpool(checkpoints.store.delete_or_leave, replaced)
    return Response(status_code=204)


@router.get(
    "",
    response_class=StreamingResponse,
    responses={**guarded(404, 409), 200: BINARY},
)
def get_checkpoint(
    job_id: str,
    lease_token: LeaseToken,
    caller: Reporter,
    database: Database,
    settings: Settings,
    checkpoints: Checkpoints,
) -> Response:
    """Fetch the checkpoint that an earlier attempt at the job left."""
    _require_lease(database, caller, job_id, lease_token, settings.lease_seconds)
    with write_session(database) as session:
        found = find_checkpoint(session, job_id)
    file = checkpoints.store.read(found.file_name)
    return StreamingResponse(
        _contents(file),
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(found.checkpoint.num_bytes),
            STEP_HEADER: str(found.checkpoint.step),
            SHA256_HEADER: found.checkpoint.sha256,
        },
    )


def _require_lease(
    database: Engine, caller: Caller, job_id: str, lease_token: str, lease_seconds: float
) -> int:
    """Let nobody but the job's present worker pass; the number of its attempt.

    Raises:
        NotYourWorker: the lease is of another token's worker.
        NotFound, LeaseLost: as `server.lease.hold`.
    """
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, lease_token)
        return hold(session, job_id, lease_token, lease_seconds).attempt


def _keep(
    database: Engine,
    incoming: IncomingCheckpoint,
    job_id: str,
    lease_token: str,
    sha256: str,
    lease_seconds: float,
) -> str | None:
    """Let what has arrived be the job's checkpoint, if its lease still holds."""
    stored = incoming.finish(sha256)
    with write_session(database) as session:
        replaced = keep_checkpoint(session, job_id, lease_token, stored, lease_seconds)
    incoming.keep()
    return replaced


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """The body in parts that are worth a thread's time.

    Raises:
        ClientDisconnect: it ended before its end.
    """
    part = bytearray()
    async for piece in request.stream():
        part += piece
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def _contents(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(PART_BYTES):
            yield part
