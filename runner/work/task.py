"""What an attempt waits for while it keeps the lease."""

from typing import Protocol


class Task(Protocol):
    """Something that goes on by itself, and may be ended."""

    @property
    def status(self) -> int | None:
        """How it ended; None while it goes on."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to end soon."""
        ...

    def kill(self) -> None:
        """End it now; nothing of it goes on afterwards."""
        ...
