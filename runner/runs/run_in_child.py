"""A local run on several devices: in a child process, as a worker's are."""

import time
from collections.abc import Sequence

from core.schema.result import RunResult
from runner.errors import FolderInUse, RunFailed, RunStopped
from runner.exit_codes import ExitCode
from runner.runs.run_folder import RunFolder
from runner.stopping import StopRequest
from runner.terminal.display import Display, RunView
from runner.work.child import EXECUTE, Child

POLL_SECONDS = 0.2


def train_in_child(
    folder: RunFolder, display: Display, child_command: Sequence[str] = EXECUTE
) -> RunResult:
    """Train a prepared folder and show the progress.

    Ctrl-C or SIGTERM asks for a checkpoint, a second one ends the run at once.

    Raises:
        FolderInUse: another process trains in the folder.
        RunStopped: it was asked to stop; what was done is kept.
        RunFailed: the run ended without a result.
    """
    stop = StopRequest()
    stop.listen()
    child = Child(folder, child_command)
    try:
        with display:
            _watch(child, folder, display, stop)
    finally:
        child.kill()
    result, failure = folder.result(), folder.failure()
    if result is not None:
        return result
    if failure is None and child.status == ExitCode.CONFLICT:
        raise FolderInUse(f"Another process is training in {folder.path}.")
    if failure is None and (stop.requested or child.status == ExitCode.INTERRUPTED):
        raise RunStopped("Stopped. The same command goes on from the last checkpoint.")
    failure = failure or child.explain_death()
    message = failure.message.rstrip(".")
    raise RunFailed(f"{failure.kind}: {message}. {failure.kind.advice}")


def _watch(child: Child, folder: RunFolder, display: Display, stop: StopRequest) -> None:
    run_id, asked = folder.spec().run_id, False
    while child.status is None:
        progress = folder.progress()
        display.update(
            RunView(
                key=run_id,
                label=run_id,
                phase=progress.phase,
                completed=progress.completed,
                total=progress.total,
                latest=folder.latest_metric(),
            )
        )
        if stop.requested and not asked:
            child.ask_to_stop()
            asked = True
        if stop.insisted:
            child.kill()
        time.sleep(POLL_SECONDS)
