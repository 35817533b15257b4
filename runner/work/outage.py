"""How long a server has been away, and when to try it again."""

import random

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 10.0
PATIENCE_SECONDS = 3600.0
"""How long a worker waits for a server before it gives up."""


class Outage:
    """Counts failed calls; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._began_at = 0.0
        self._try_at = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the latest call failed."""
        return self._failures > 0

    def failed(self, now: float) -> None:
        """A call failed: wait 1 s, 2 s, ... up to 10 s, shortened by chance by up to a half."""
        if not self.is_on:
            self._began_at = now
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(self._failures, 10))
        self._try_at = now + delay * random.uniform(0.5, 1.0)
        self._failures += 1

    def ended(self) -> None:
        """A call succeeded."""
        self._failures = 0

    def may_try(self, now: float) -> bool:
        """Whether it is time for the next call."""
        return not self.is_on or now >= self._try_at

    def is_hopeless(self, now: float) -> bool:
        """Whether the server has been away for an hour."""
        return self.is_on and now - self._began_at >= PATIENCE_SECONDS
