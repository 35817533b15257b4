"""Rate limits: what one client may ask, so that nobody takes the server from the others."""

import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from server.access.allowance import Allowances
from server.access.caller import Caller
from server.access.requirement import find_sender
from server.errors import TooManyRequests
from server.settings import Access, ServerSettings

READING = frozenset({"GET", "HEAD", "OPTIONS"})
IPV6_NETWORK_BITS = 64
"""The part of an address that its owner cannot choose at will."""


class RateLimits:
    """What is left to each client, for reading and for writing."""

    def __init__(
        self, settings: ServerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing asked. An open server serves its own machine alone, without limits."""
        limited = settings.access is not Access.OPEN
        self._reads = Allowances(settings.reads_per_minute, clock) if limited else None
        self._writes = Allowances(settings.writes_per_minute, clock) if limited else None

    def take(self, client: str, method: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: the client has used up what it may ask for now.
        """
        allowances = self._reads if method in READING else self._writes
        wait = allowances.take(client) if allowances is not None else 0.0
        if wait > 0.0:
            raise TooManyRequests(math.ceil(wait))


async def limit_rate(
    request: Request, sender: Annotated[Caller | None, Depends(find_sender)]
) -> None:
    """FastAPI dependency: count a request for its token, or without a valid one for its address.

    It runs in the event loop, so that one request is counted after another.
    """
    limits: RateLimits = request.app.state.rate_limits
    client = f"token {sender.token_id}" if sender is not None else address_of(request)
    limits.take(client, request.method)


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from; all of an IPv6 network is one client."""
    host = request.client.host if request.client is not None else ""
    try:
        address = ip_address(host)
    except ValueError:
        return f"address {host}"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"network {int(address) >> (128 - IPV6_NETWORK_BITS):x}"
    return f"address {address}"
