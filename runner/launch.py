"""One run on several devices of this machine: a process for each, under PyTorch's launcher.

It is torchrun's own agent, called from here because torchrun ends with status 1 whatever its
processes ended with, and gives them half a minute for a checkpoint when it is asked to stop.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from core.schema.job import RunSpec
from runner.exit_codes import ExitCode
from runner.stopping import StopRequest
from runner.work.device import DeviceName, num_gpus

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
EXECUTE = ("-m", "runner.execute")
MEANT = (ExitCode.RUN_FAILED, ExitCode.INTERRUPTED, ExitCode.CONFLICT)
"""Statuses of processes that ended on purpose."""


def is_launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def num_processes(spec: RunSpec, device: DeviceName) -> int:
    """How many devices of this machine a run will use."""
    return 1 if spec.max_devices == 1 else spec.num_devices(num_gpus(device))


def launch(folder: Path, processes: int, program: Sequence[str] = EXECUTE) -> int:
    """Train a run folder by several processes.

    A request to stop is passed on to them. When one ends badly, the others are ended.

    Args:
        program: what Python runs in each, with the folder as its argument.

    Returns:
        0, or the exit status of the process that ended badly first; 128 + n for signal n.
    """
    stop = StopRequest()
    stop.listen()
    statuses: list[int] = []
    # Not in the main thread, where the agent would take over the signals.
    agent = threading.Thread(
        target=lambda: statuses.append(_run_agent([*program, str(folder)], processes))
    )
    agent.start()
    asked: set[int] = set()
    while agent.is_alive():
        if stop.requested:
            _pass_on(asked)
        agent.join(POLL_SECONDS)
    return statuses[0] if statuses else ExitCode.FAILURE


def _pass_on(asked: set[int]) -> None:
    """Ask every process to stop that was not asked yet."""
    for child in psutil.Process().children():
        if child.pid not in asked:
            asked.add(child.pid)
            # It may have ended by itself meanwhile.
            with suppress(psutil.NoSuchProcess):
                child.terminate()


def _run_agent(arguments: Sequence[str], processes: int) -> int:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # The log is for authors, and its last line is what a failure is explained by.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except ChildFailedError as error:
        # Before all, one that ended on purpose: others may have crashed when they lost it.
        meant = [f.exitcode for f in error.failures.values() if f.exitcode in MEANT]
        return meant[0] if meant else _explained(*error.get_first_failure())
    return ExitCode.OK


def _explained(rank: int, failure: ProcessFailure) -> int:
    """Leave the reason of a crash as the last line of the log; return its status."""
    status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    recorded = failure.error_file_data["message"]
    reason = recorded["message"] if isinstance(recorded, dict) else f"status {status}"
    logger.error("process %d ended first: %s", rank, reason)
    return status
