"""The training process that a worker starts, and what its death means."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from core.schema.result import FailureKind
from runner.exit_codes import ExitCode
from runner.runs.run_folder import Failure, RunFolder

EXECUTE = (sys.executable, "-m", "runner.execute")
VMSTAT = Path("/proc/vmstat")
TOKEN_VARIABLE = "FIVE_DOLLAR_TOKEN"


def child_environment() -> dict[str, str]:
    """This process's environment without the access token, which training has no use for."""
    kept = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    return kept | {"PYTHONUNBUFFERED": "1"}


class Child:
    """A process with a session of its own, which holds all that it starts."""

    def __init__(self, folder: RunFolder, command: Sequence[str] = EXECUTE) -> None:
        """Start training in a run folder; output goes to the end of its `log.txt`."""
        self._folder = folder
        self._oom_kills = oom_kills()
        with folder.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(folder.path), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(),
            )

    @property
    def status(self) -> int | None:
        """Exit status, the negative signal number that killed it, or None while it lives."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Ask for a checkpoint and the end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process and everything that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def explain_death(self) -> Failure:
        """What to report of a process that ended without a result and without a failure."""
        status = self._process.wait()
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        if killed and oom_kills() > self._oom_kills:
            message = "The system killed the training process because memory ran out."
            return Failure(kind=FailureKind.OUT_OF_MEMORY, message=message)
        if status == ExitCode.DISK:
            message = "The worker's disk is full, read-only or broken."
        elif status < 0:
            message = f"The training process was ended by {signal.Signals(-status).name}."
        else:
            last = "".join(self._folder.log_tail(1))[:500]
            message = f"The training process ended with status {status}: {last}"
        return Failure(kind=FailureKind.INTERNAL_ERROR, message=message)


def oom_kills() -> int:
    """How many processes the kernel has ended for want of memory; 0 where it does not say."""
    try:
        lines = VMSTAT.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
