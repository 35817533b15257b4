"""`runner.execute` with a pause after each step.

`python -m benchmarks.slow_training RUN_FOLDER PARENT_PID`: a run of a tiny track takes minutes and
hardly any processor, checkpoints included.
"""

import time

from core.schema.metric_point import MetricPoint
from runner import execute
from runner.runs.reporter import FileReporter

STEP_SECONDS = 0.5


class SlowReporter(FileReporter):
    """Rests after each metric."""

    def metric(self, point: MetricPoint) -> None:
        """Append one line to `metrics.jsonl`, and rest."""
        super().metric(point)
        time.sleep(STEP_SECONDS)


if __name__ == "__main__":
    execute.FileReporter = SlowReporter  # type: ignore[attr-defined]
    execute.main()
