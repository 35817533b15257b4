"""The time that leases are measured by, which no setting of the system's clock moves.

A clock that is put forward by an hour would otherwise end every lease at once, and one that is put
back would keep the jobs of dead workers for an hour.
"""

import time
from datetime import datetime, timedelta

from server.tables import utc_now

BEGAN_AT = utc_now()
BEGAN_STEADY = time.monotonic()


def lease_now() -> datetime:
    """UTC as it was when this process began, and the seconds that have passed since."""
    return BEGAN_AT + timedelta(seconds=time.monotonic() - BEGAN_STEADY)
