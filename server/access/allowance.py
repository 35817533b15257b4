"""How many requests each client has left: a token bucket for each, in memory.

A bucket holds ten seconds' worth of requests and fills steadily (the generic cell rate algorithm:
one number a client, the moment at which its bucket will be full).
"""

import time
from collections import OrderedDict
from collections.abc import Callable

BURST_SECONDS = 10.0
ROUNDING_SECONDS = 1e-9
"""Sums of intervals are not exact."""
MAX_CLIENTS = 10_000
"""Whoever asked longest ago is forgotten first, so that no number of addresses fills memory."""


class Allowances:
    """The requests that clients may make; times are seconds of one monotonic clock."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets.

        Args:
            per_minute: requests that each client may make in the long run; at least 1.
        """
        self._interval = 60.0 / per_minute
        self._burst = max(BURST_SECONDS, self._interval)
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one request from a client's bucket; seconds to wait if there is none, else 0."""
        now = self._clock()
        full_at = max(now, self._full_at.get(client, now)) + self._interval
        # What is in the bucket is what it takes less to be full.
        wait = full_at - now - self._burst
        if wait > ROUNDING_SECONDS:
            return wait
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        if len(self._full_at) > MAX_CLIENTS:
            self._full_at.popitem(last=False)
        return 0.0
