"""Time in named parts, fenced by device synchronisation."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch

ClockPart = Literal["data", "compile", "train", "eval"]


class Clock:
    """Adds up seconds for each part of a run; parts never overlap."""

    def __init__(
        self, device: torch.device, agree: Callable[[float], float] = lambda seconds: seconds
    ) -> None:
        """Start at zero.

        Args:
            agree: makes one measurement of those of several processes, so that what follows
                from the time, such as the end of a budget, follows in all of them.
        """
        self._device = device
        self._agree = agree
        self._running = False
        self.seconds: dict[ClockPart, float] = {
            "data": 0.0,
            "compile": 0.0,
            "train": 0.0,
            "eval": 0.0,
        }

    @contextmanager
    def measure(self, part: ClockPart) -> Iterator[None]:
        """Add the time until the block ends; waits for the device before and after."""
        assert not self._running, "parts of the clock must not overlap"
        self._running = True
        self.synchronize()
        start = time.perf_counter()
        try:
            yield
            self.synchronize()
            self.seconds[part] += self._agree(time.perf_counter() - start)
        finally:
            self._running = False

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
