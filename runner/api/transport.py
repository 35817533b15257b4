"""One HTTP call to the server: retried where that is safe, its failures given names."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from core.schema.job import ErrorBody
from runner.errors import (
    Conflict,
    Denied,
    LeaseLost,
    NotFound,
    ProtocolMismatch,
    Refused,
    RunnerError,
    ServerFault,
    ServerUnreachable,
)

Answer = TypeVar("Answer", bound=BaseModel)
Sleep = Callable[[float], None]
QueryValue = str | int | Sequence[str]
"""Value of a query's field; several texts are the field several times."""

API = "/api/v1"
TIMEOUT = httpx.Timeout(15.0, connect=5.0)
FILE_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
STORED_TIMEOUT = httpx.Timeout(60.0, connect=5.0, read=300.0)
"""Once the server has all of a file, it may take long to store it."""
JSON_BODY = {"Content-Type": "application/json"}
PIECE_BYTES = 1024 * 1024
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 10.0
ERRORS_BY_KIND: Mapping[str, type[RunnerError]] = {
    "lease_lost": LeaseLost,
    "worker_too_old": ProtocolMismatch,
    "server_too_old": ProtocolMismatch,
}


class Transport:
    """Calls the API of one server, and reads its pages.

    No connection, no answer in time, and the statuses 429, 502, 503 and 504 are tried again
    after 0.25 s, 0.5 s, ... up to 10 s, each shortened by chance by up to a half, or after what
    `Retry-After` says, until `retry_seconds` have passed. Every call may be repeated: a submission
    and a claim have their keys, a report its lease; runs that a re-run has queued are not queued
    again.
    `on_wait` is told why, once a call, before the first wait. Every call carries the `token`.
    """

    def __init__(
        self,
        server_url: str,
        retry_seconds: float,
        transport: httpx.BaseTransport | None = None,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        on_wait: Callable[[str], None] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        token: SecretStr | None = None,
    ) -> None:
        self.server_url = server_url.rstrip("/")
        self._retry_seconds = retry_seconds
        self._sleep = sleep
        self._clock = clock
        self._on_wait = on_wait
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._http = httpx.Client(timeout=timeout, transport=transport, headers=headers)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def get(self, path: str, **query: QueryValue) -> httpx.Response:
        """GET a path below `/api/v1`."""
        return self._call("GET", path, query=query)

    def fetch(self, address: str, accept: str) -> httpx.Response:
        """GET any address of the server, such as a page; whatever it answers at last."""
        return self._answer("GET", address, headers={"Accept": accept})

    def post(
        self, path: str, body: BaseModel | bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST a message, or raw bytes, to a path below `/api/v1`."""
        if isinstance(body, BaseModel):
            content = body.model_dump_json().encode()
            return self._call("POST", path, content, {**(headers or {}), **JSON_BODY})
        return self._call("POST", path, content=body, headers=headers)

    def put_file(self, path: str, pieces: Iterable[bytes], headers: Mapping[str, str]) -> None:
        """PUT a file to a path below `/api/v1`; once, as its pieces cannot be had again."""
        response, reason = self._try("PUT", f"{API}{path}", pieces, headers, None, STORED_TIMEOUT)
        if response is None:
            raise ServerUnreachable(f"The server at {self.server_url} {reason}.")
        _accepted(response)

    @contextmanager
    def get_file(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """GET a file from a path below `/api/v1`, piece by piece; once."""
        url = f"{self.server_url}{API}{path}"
        try:
            with self._http.stream("GET", url, headers=headers, timeout=FILE_TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                yield _accepted(response).iter_bytes(PIECE_BYTES)
        except httpx.TransportError as error:
            raise ServerUnreachable(
                f"The server at {self.server_url} broke off ({error or type(error).__name__})."
            ) from error

    def _call(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, QueryValue] | None = None,
    ) -> httpx.Response:
        return _accepted(self._answer(method, f"{API}{path}", content, headers, query))

    def _answer(
        self,
        method: str,
        address: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | int | Sequence[str]] | None = None,
    ) -> httpx.Response:
        """The answer, once it is none of those that are tried again."""
        deadline = self._clock() + self._retry_seconds
        attempt = 0
        while True:
            response, reason = self._try(method, address, content, headers, query)
            if response is not None and response.status_code not in RETRIED_STATUSES:
                return response
            delay = _delay(attempt, response)
            if self._clock() + delay > deadline:
                raise ServerUnreachable(
                    f"The server at {self.server_url} {reason}. {_remedy(response, delay)}"
                )
            if attempt == 0 and self._on_wait:
                self._on_wait(f"The server at {self.server_url} {reason}; trying again.")
            self._sleep(delay)
            attempt += 1

    def _try(
        self,
        method: str,
        address: str,
        content: bytes | Iterable[bytes],
        headers: Mapping[str, str] | None,
        query: Mapping[str, QueryValue] | None,
        timeout: httpx.Timeout | None = None,
    ) -> tuple[httpx.Response | None, str]:
        """The answer, if there is one, and what to say if it is not good enough."""
        url = f"{self.server_url}{address}"
        try:
            response = self._http.request(
                method,
                url,
                content=content,
                headers=headers,
                params=query,
                timeout=timeout or self._http.timeout,
            )
        except httpx.TimeoutException:
            return None, "did not answer in time"
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return None, f"cannot be reached ({error})"
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return response, "asks for fewer requests"
        said = _message(response)
        return (
            response,
            f"says: {said}" if said else f"is not ready (status {response.status_code})",
        )


def _message(response: httpx.Response) -> str:
    """What the server says of its fault, without the full stop; empty if it is another program."""
    try:
        return ErrorBody.model_validate_json(response.content).message.rstrip(".")
    except ValidationError:
        return ""


def _remedy(response: httpx.Response | None, delay: float) -> str:
    """What to do about a server that gave no answer in time."""
    if response is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return f"Try again in {delay:.0f} s."
    if response is not None and _message(response):
        return "Whoever runs it finds more in its log."
    return "Check that it runs (`runner serve`) and that FIVE_DOLLAR_SERVER_URL is its address."


def parse(response: httpx.Response, model: type[Answer]) -> Answer:
    """Validate an answer.

    Raises:
        ServerFault: it does not follow the schema.
    """
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise ServerFault(
            f"{response.url} did not answer as this version expects "
            f"({error.error_count()} differences from {model.__name__}). "
            "Check the address, and that client and server are of the same version."
        ) from error


def _accepted(response: httpx.Response) -> httpx.Response:
    """The response if it is a success; else its error by name."""
    if response.is_success:
        return response
    status = response.status_code
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError as error:
        raise ServerFault(
            f"{response.url} answered with status {status} and no message of this project. "
            "Check that the address is the server's."
        ) from error
    if body.kind in ERRORS_BY_KIND:
        raise ERRORS_BY_KIND[body.kind](body.message)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Denied(body.message)
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound(body.message)
    if status == HTTPStatus.CONFLICT:
        raise Conflict(body.message)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Refused(body.message, body.problems)
    raise ServerFault(f"The server failed: {body.message}")


def _delay(attempt: int, response: httpx.Response | None) -> float:
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if asked.isdigit():
        return float(asked)
    longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**attempt)
    return longest * random.uniform(0.5, 1.0)
