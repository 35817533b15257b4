"""The anchor of a run in a process of its own: `python -m runner.anchor RUN_FOLDER [PARENT_PID]`.

Reads `spec.json` and `environment.json` and writes `anchor.json`. Nothing of it is left when the
run begins, neither memory nor random numbers, and a crash of it is not the run's. There is
nothing to keep of it either, so SIGTERM ends it at once.
"""

import logging
import os
import sys
from pathlib import Path

from core import errors
from core.schema.job import RunSpec
from runner.execute import die_with_parent, set_up_log
from runner.exit_codes import ExitCode
from runner.launch import is_launched, launch, num_processes
from runner.runs.run_folder import RunFolder

PROGRAM = ("-m", "runner.anchor")

logger = logging.getLogger(__name__)


def main() -> None:
    """Measure what the folder on the command line asks for and exit with the status."""
    set_up_log()
    folder = RunFolder(Path(sys.argv[1]))
    spec = baseline_spec(folder.spec())
    if is_launched():
        die_with_parent(os.getppid())
        status = measure(spec, folder, is_main=os.environ["RANK"] == "0")
        logging.shutdown()
        # At once, as in `runner.execute`: one that failed must not wait for the others.
        os._exit(status)
    if len(sys.argv) == 3:
        die_with_parent(int(sys.argv[2]))
    processes = num_processes(spec, folder.environment().device)
    sys.exit(launch(folder.path, processes, PROGRAM) if processes > 1 else measure(spec, folder))


def baseline_spec(spec: RunSpec) -> RunSpec:
    """What would train the baseline as the track's own runs are; it decides how many GPUs do."""
    assert spec.anchor is not None
    return spec.model_copy(update={"experiment": spec.anchor})


def measure(spec: RunSpec, folder: RunFolder, is_main: bool = True) -> ExitCode:
    """Leave an anchor in the folder, or say in the log why there is none.

    Args:
        is_main: whether this process, of several, is the one that writes.
    """
    from core.train.anchor import measure_anchor

    if is_main:
        logger.info("measuring the speed of the baseline of %s", spec.track)
    try:
        anchor = measure_anchor(spec, folder.environment())
    except (errors.CoreError, MemoryError) as error:
        logger.warning("the baseline's speed could not be measured: %s", error)
        return ExitCode.RUN_FAILED
    if is_main:
        folder.write_anchor(anchor)
        logger.info("the baseline trains %.0f tokens/s here", anchor.tokens_per_second)
    return ExitCode.OK


if __name__ == "__main__":
    main()
