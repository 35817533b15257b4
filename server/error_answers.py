"""Errors as answers: JSON for programs, a page for people, never a traceback."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from core.errors import InvalidInput
from core.schema.job import ErrorBody
from core.schema.problem import Problem
from server.errors import ServerError, SignInNeeded
from server.pages.error import error_response
from server.security_headers import security_headers
from server.sign_in.viewer import viewer_of

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

MAX_SHOWN = 80
API = "/api/"
BUSY = "the database is busy or cannot be reached"
DATABASE_REASONS = {
    # SQLite
    "is full": "the server's disk is full",
    "readonly": "the server's database is read-only",
    "disk I/O error": "the server's disk fails",
    # PostgreSQL
    "No space left on device": "the server's disk is full",
    "read-only transaction": "the server's database is read-only",
}
"""What a database says, in part, and what it means."""

logger = logging.getLogger(__name__)


def error_handlers() -> dict[int | type[Exception], Handler]:
    """The handler of each class of error, for the application."""
    return {
        ServerError: server_error,
        InvalidInput: _invalid_input,
        RequestValidationError: _invalid_request,
        HTTPException: _http_error,
        DataError: _unstorable_value,
        OperationalError: _database_error,
        # Of PostgreSQL, if it takes no writes.
        InternalError: _database_error,
        PoolTimeout: _database_error,
        Exception: _unexpected_error,
    }


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error answers of a route, for the API's description; every route may answer these too."""
    return {status: {"model": ErrorBody} for status in (*statuses, 422, 429, 500, 503)}


def guarded(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `documented`, for a route that asks for an access token."""
    return documented(401, 403, *statuses)


def answer(request: Request, status: int, body: ErrorBody) -> Response:
    """An error in the form that the client reads."""
    if not body.problems:
        sentence = body.message[:1].upper() + body.message[1:]
        body = body.model_copy(update={"message": sentence})
    if wants_page(request):
        needs_sign_in = body.kind == SignInNeeded.kind
        return error_response(status, body.message, viewer_of(request), needs_sign_in)
    return JSONResponse(body.model_dump(mode="json"), status)


def wants_page(request: Request) -> bool:
    """Whether a person asked, with a browser."""
    is_api = request.url.path.startswith(API)
    return not is_api and "text/html" in request.headers.get("accept", "")


async def server_error(request: Request, error: ServerError) -> Response:
    """The answer to an error that the server raises on purpose."""
    body = ErrorBody(kind=error.kind, message=str(error), problems=error.problems)
    response = answer(request, error.status, body)
    response.headers.update(error.headers)
    return response


async def _invalid_input(request: Request, error: InvalidInput) -> Response:
    count = len(error.problems)
    summary = f"{count} problem{'s' if count > 1 else ''}:\n{error}"
    body = ErrorBody(kind="invalid_submission", message=summary, problems=error.problems)
    return answer(request, 422, body)


async def _invalid_request(request: Request, error: RequestValidationError) -> Response:
    problems = tuple(_problem(detail) for detail in error.errors())
    message = "\n".join(problem.text() for problem in problems)
    return answer(
        request, 422, ErrorBody(kind="invalid_request", message=message, problems=problems)
    )


async def _http_error(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    status, kind, message = error.status_code, "http_error", str(error.detail)
    if status == 400:
        # FastAPI's word for a body that it could not even read.
        status, kind, message = 422, "invalid_request", "the body is not JSON in UTF-8."
    elif status == 404:
        kind, message = "not_found", f"there is nothing at {path}."
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        kind = "method_not_allowed"
        message = f"{request.method} is not possible at {path}; {allowed} is."
    response = answer(request, status, ErrorBody(kind=kind, message=message))
    response.headers.update(error.headers or {})
    return response


async def _unstorable_value(request: Request, error: Exception) -> Response:
    message = "a text holds a character that no id has, or a number is too large."
    return answer(request, 422, ErrorBody(kind="invalid_request", message=message))


async def _database_error(request: Request, error: Exception) -> Response:
    cause = str(getattr(error, "orig", None) or error).splitlines()[0]
    logger.error("the database refused: %s", cause, extra={"path": request.url.path})
    reason = next((why for part, why in DATABASE_REASONS.items() if part in cause), BUSY)
    message = f"{reason}; nothing was stored. Try again."
    response = answer(request, 503, ErrorBody(kind="database_unavailable", message=message))
    response.headers["Retry-After"] = "2"
    return response


async def _unexpected_error(request: Request, error: Exception) -> Response:
    message = "a fault of the server, which it has logged; nothing is known to be stored."
    response = answer(request, 500, ErrorBody(kind="internal_error", message=message))
    # Made outside every middleware.
    response.headers.update(security_headers(request.app.state.settings.public_url))
    return response


def _problem(detail: dict[str, Any]) -> Problem:
    """One of FastAPI's complaints; the first part of its place is `body`, `query` and so on."""
    place = ".".join(str(part) for part in detail["loc"][1:])
    if not place and detail["type"] in ("model_attributes_type", "dict_type"):
        message = "the body must be a JSON object, sent with `Content-Type: application/json`."
        return Problem(path="", message=message)
    if detail["type"] == "json_invalid":
        return Problem(path="", message=f"the body is not JSON: {detail['ctx']['error']}.")
    message = f"{detail['msg'].replace('Input should be', 'must be')}."
    if detail["type"] == "missing":
        message = "is missing."
    elif detail["type"] != "extra_forbidden":
        message = f"{_shown(detail['input'])} is not allowed: {message}"
    return Problem(path=place, message=message)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
