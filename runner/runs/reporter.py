"""Keeps what a run tells in the files of its folder."""

import logging
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from core.schema.job import Phase
from core.schema.metric_point import MetricPoint
from runner.runs.run_folder import Progress, RunFolder
from runner.stopping import StopRequest
from runner.terminal.display import Display, RunView

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_SECONDS = 0.5


class FileReporter:
    """A `core.train.reporter.Reporter` that appends metrics and replaces the progress."""

    def __init__(self, folder: RunFolder, stop: StopRequest) -> None:
        self._folder = folder
        self._stop = stop
        self._shown: Progress | None = None
        self._shown_at = 0.0
        drop_torn_line(folder)
        self._metrics = folder.metrics_path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._metrics.close()

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Store the progress: a new phase and a phase's end at once, else twice a second."""
        now = time.monotonic()
        same = self._shown is not None and self._shown.phase == phase
        recent = now - self._shown_at < PROGRESS_INTERVAL_SECONDS
        if same and recent and completed != total:
            return
        self._shown = Progress(phase=phase, completed=completed, total=total)
        self._shown_at = now
        self._folder.write_progress(self._shown)

    def metric(self, point: MetricPoint) -> None:
        """Append one line to `metrics.jsonl`; a validation is logged too."""
        self._metrics.write(f"{point.model_dump_json()}\n")
        self._metrics.flush()
        if point.val_loss is not None:
            logger.info("step %d: validation loss %.4f", point.step, point.val_loss)

    def should_stop(self) -> bool:
        """Whether this process was asked to stop."""
        return self._stop.requested


class DisplayReporter:
    """A reporter that only shows, and never asks to stop."""

    def __init__(self, display: Display, label: str) -> None:
        self._display = display
        self._view = RunView(key=label, label=label, phase=Phase.PREPARING_DATA)

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Show the progress."""
        self._view = replace(self._view, phase=phase, completed=completed, total=total)
        self._display.update(self._view)

    def metric(self, point: MetricPoint) -> None:
        """Show a point."""
        self._view = replace(self._view, latest=point)
        self._display.update(self._view)

    def should_stop(self) -> bool:
        """Never: Ctrl-C ends the process."""
        return False


class BothReporter:
    """Tells the files of a run and a display; the files say whether to stop."""

    def __init__(self, files: FileReporter, shown: DisplayReporter) -> None:
        self._files = files
        self._shown = shown

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Store and show the progress."""
        self._files.phase(phase, completed, total)
        self._shown.phase(phase, completed, total)

    def metric(self, point: MetricPoint) -> None:
        """Store and show a point."""
        self._files.metric(point)
        self._shown.metric(point)

    def should_stop(self) -> bool:
        """Whether this process was asked to stop."""
        return self._files.should_stop()


def drop_torn_line(folder: RunFolder) -> None:
    """Cut off a last line that a killed process left without its end."""
    if not folder.metrics_path.exists():
        return
    with folder.metrics_path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
