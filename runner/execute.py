"""One run in a process of its own: `python -m runner.execute RUN_FOLDER [PARENT_PID]`.

Reads `spec.json` and `environment.json`, writes `phase.json`, `metrics.jsonl` and checkpoints
on the way, `result.json` or `failure.json` at the end. SIGTERM and SIGINT ask for a checkpoint
and the end. What is not foreseen ends as a traceback in the log and status 1; the worker
reports its last line.

Where several GPUs are visible and the track allows them, it starts a process for each and waits
for them. `torchrun --nproc-per-node N -m runner.execute RUN_FOLDER` does the same by hand.
"""

import errno
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from core import errors
from core.schema.job import RunSpec
from core.schema.result import Anchor, FailureKind, RunResult
from core.train.environment import RunEnvironment
from core.train.reporter import Reporter, SilentReporter
from runner.errors import FolderInUse
from runner.exit_codes import ExitCode
from runner.launch import is_launched, launch, num_processes
from runner.runs.reporter import FileReporter
from runner.runs.run_folder import RunFolder
from runner.stopping import StopRequest

Train = Callable[[RunSpec, Path, RunEnvironment, Reporter], RunResult]

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
LOCK_WAIT_SECONDS = 20.0
PARENT_POLL_SECONDS = 1.0
FAILURES: dict[type[Exception], FailureKind] = {
    errors.InvalidInput: FailureKind.INVALID_CONFIG,
    errors.DataUnavailable: FailureKind.DATA_UNAVAILABLE,
    errors.Diverged: FailureKind.DIVERGED,
    errors.OutOfMemory: FailureKind.OUT_OF_MEMORY,
    errors.BudgetExceeded: FailureKind.BUDGET_EXCEEDED,
    errors.CheckpointCorrupt: FailureKind.INTERNAL_ERROR,
}

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the folder that the command line names and exit with its status."""
    set_up_log()
    folder = RunFolder(Path(sys.argv[1]))
    if is_launched():
        status = run_process(folder) or ExitCode.OK
        logging.shutdown()
        # At once: while Python tidies up, the others notice the loss, and the launcher that
        # ends them all would end this one with another status.
        os._exit(status)
    if len(sys.argv) == 3:
        die_with_parent(int(sys.argv[2]))
    processes = num_processes(folder.spec(), folder.environment().device)
    sys.exit(launch(folder.path, processes) if processes > 1 else run_alone(folder))


def set_up_log() -> None:
    """Log to stdout, which is the run's log."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s"
    )
    # The compiler's hints are for its own developers; the log is for authors.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\._(inductor|dynamo)\.")


def run_process(folder: RunFolder) -> ExitCode | None:
    """Be one of several processes of a run; the first reports and holds the folder."""
    from torch.distributed.elastic.multiprocessing.errors import record

    die_with_parent(os.getppid())
    if os.environ["RANK"] == "0":
        return record(run_alone)(folder)
    logging.getLogger().setLevel(logging.WARNING)
    from core.train.run import run

    return record(execute)(folder, run, is_main=False)


def run_alone(folder: RunFolder) -> ExitCode:
    """Train in this process, unless another one trains in the folder."""
    try:
        with folder.lock(LOCK_WAIT_SECONDS):
            from core.train.run import run

            return execute(folder, run)
    except FolderInUse as error:
        logger.error(str(error))
        return error.exit_code


def execute(folder: RunFolder, train: Train, is_main: bool = True) -> ExitCode:
    """Train, and leave a result or a failure in the folder.

    On a disk that takes nothing any more, the exit status alone says so.

    Args:
        is_main: whether this process reports; one that does not leaves nothing but a failure.
    """
    try:
        return _train(folder, train, is_main)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        message = f"The worker's disk is full, read-only or broken: {error}."
        logger.exception("the run failed: %s", FailureKind.INTERNAL_ERROR)
        with suppress(OSError):
            folder.write_failure(FailureKind.INTERNAL_ERROR, message)
        return ExitCode.DISK


def _train(folder: RunFolder, train: Train, is_main: bool) -> ExitCode:
    stop = StopRequest()
    stop.listen()
    with FileReporter(folder, stop) if is_main else nullcontext(SilentReporter()) as reporter:
        spec = folder.spec()
        logger.info("run %s: track %s, seed %d", spec.run_id, spec.track, spec.seed)
        try:
            result = train(spec, folder.path, folder.environment(), reporter)
        except errors.Interrupted as error:
            logger.info("ended on request: %s", error)
            return ExitCode.INTERRUPTED
        except (errors.CoreError, MemoryError) as error:
            kind = failure_kind(error)
            logger.exception("the run failed: %s", kind)
            folder.write_failure(kind, str(error))
            return ExitCode.RUN_FAILED
    if is_main:
        folder.write_result(anchored(result, folder.anchor()))
    logger.info("finished with validation loss %.4f", result.val_loss)
    return ExitCode.OK


def anchored(result: RunResult, anchor: Anchor | None) -> RunResult:
    """The result with the anchor that was measured before the run, if it holds for it."""
    if anchor is None:
        return result
    if not anchor.holds_for(result.provenance):
        logger.warning("the baseline's speed was measured on another machine or by other code")
        return result
    return result.model_copy(update={"anchor": anchor})


def failure_kind(error: Exception) -> FailureKind:
    """Class of a failure that was raised on purpose, or for want of memory."""
    if isinstance(error, MemoryError):
        return FailureKind.OUT_OF_MEMORY
    return next(
        (kind for known, kind in FAILURES.items() if isinstance(error, known)),
        FailureKind.INTERNAL_ERROR,
    )


def die_with_parent(parent: int) -> None:
    """Kill this process and all that it started as soon as the parent is gone.

    A worker that was killed can no longer stop its child, and the server gives the job to
    somebody else. The parent's id changes on every system when a parent dies.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    main()
