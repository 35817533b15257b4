"""A wish to end, from the first signal, and an order to end, from the second."""

import signal
from types import FrameType


class StopRequest:
    """Whether somebody asked this process to stop."""

    def __init__(self) -> None:
        self._times = 0

    @property
    def requested(self) -> bool:
        """Asked once: finish in good order."""
        return self._times > 0

    @property
    def insisted(self) -> bool:
        """Asked again: end at once."""
        return self._times > 1

    def ask(self) -> None:
        """Ask to stop."""
        self._times += 1

    def listen(self, second_raises: bool = False) -> None:
        """Take SIGTERM and SIGINT as requests; the second may also raise KeyboardInterrupt."""

        def handle(signum: int, frame: FrameType | None) -> None:
            self.ask()
            if second_raises and self.insisted:
                raise KeyboardInterrupt

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)
