"""The anchors of a worker's session: one for each track, measured at its first job.

A session ends when the worker stops, and after an hour without a job. An anchor is also measured
anew when the GPUs, the driver, PyTorch or the code are no longer those that were measured.
"""

import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NamedTuple

from core.schema.job import RunSpec
from core.schema.result import Anchor
from core.version import code_on_disk
from runner.work.device import DeviceName, device_state

MEASURE = (sys.executable, "-m", "runner.anchor")
IDLE_SECONDS = 3600.0
LONGEST_SECONDS = 900.0
"""How long measuring may take, compiling included, before the run goes on without it."""


class Measured(NamedTuple):
    """What came of measuring once; a failure is kept too, so that it costs each session once."""

    anchor: Anchor | None


def current_machine_state(device: DeviceName) -> str:
    """GPUs, driver, PyTorch and code as the next process will find them."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    return "\n".join((device_state(device), f"torch {torch}", code_on_disk()))


class Anchors:
    """Keeps what was measured in this session."""

    def __init__(
        self,
        device: DeviceName,
        command: Sequence[str] = MEASURE,
        machine_state: Callable[[DeviceName], str] = current_machine_state,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a session.

        Args:
            command: program that measures the anchor of a run folder.
            machine_state: all that an anchor depends on beside the baseline.
        """
        self.command = command
        self._device: DeviceName = device
        self._machine_state = machine_state
        self._clock = clock
        self._measured: dict[str, Measured] = {}
        self._idle_since: float | None = None

    def find(self, run: RunSpec) -> Measured | None:
        """What was measured for a run's track on this machine as it is now; None if nothing."""
        if self._idle_since is not None and self._clock() - self._idle_since > IDLE_SECONDS:
            self._measured.clear()
        return self._measured.get(self._key(run))

    def keep(self, run: RunSpec, anchor: Anchor | None) -> None:
        """Remember what was measured, or with None that it could not be."""
        self._measured[self._key(run)] = Measured(anchor)

    def job_ended(self) -> None:
        """From now on the worker is idle."""
        self._idle_since = self._clock()

    def _key(self, run: RunSpec) -> str:
        asked = run.model_dump_json(exclude={"run_id", "experiment", "seed", "prices_usd_per_hour"})
        return f"{asked} {self._machine_state(self._device)}"
