"""Progress of runs: bars on a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from core.schema.job import Phase
from core.schema.metric_point import MetricPoint

LINE_SECONDS = 5.0
WORDS = {
    Phase.PREPARING_DATA: "preparing data",
    Phase.COMPILING: "compiling",
    Phase.TRAINING: "training",
    Phase.EVALUATING: "evaluating",
}


@dataclass(frozen=True)
class RunView:
    """What a display shows of one run."""

    key: str
    """Id of the run."""
    label: str
    """What it is called."""
    phase: Phase | None
    """What it is doing; None while it waits."""
    completed: int = 0
    """Units of the phase that are done."""
    total: int = 0
    """Units of the phase; 0 if unknown."""
    latest: MetricPoint | None = None
    """Newest metric point."""

    @property
    def doing(self) -> str:
        """The phase in words."""
        return "waiting" if self.phase is None else WORDS[self.phase]

    @property
    def share(self) -> str:
        """How much of the phase is done, where that is known."""
        return f" {self.completed}/{self.total}" if self.total else ""

    @property
    def figures(self) -> str:
        """Loss and speed, once this attempt trains."""
        if self.latest is None or self.phase not in (Phase.TRAINING, Phase.EVALUATING):
            return ""
        speed = f"{self.latest.tokens_per_second:,.0f} tokens/s"
        return f"loss {self.latest.train_loss:.4f}, {speed}"


class Display(Protocol):
    """Shows runs between entering and leaving a `with` block."""

    def __enter__(self) -> Self:
        """Start showing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop showing."""

    def update(self, view: RunView) -> None:
        """Show the newest state of a run."""

    def finish(self, key: str, outcome: str) -> None:
        """Take a run off the display and leave one line on how it ended."""


class BarDisplay:
    """A bar for each run."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[label]}", markup=False),
            TextColumn("{task.fields[doing]}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._phases: dict[str, Phase | None] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, view: RunView) -> None:
        """Move the run's bar; a new phase starts it afresh."""
        total = view.total or None
        doing = f"{view.doing}{view.share}"
        if view.key not in self._tasks:
            self._tasks[view.key] = self._progress.add_task(
                "", total=total, label=view.label, doing=doing, figures=view.figures
            )
        task = self._tasks[view.key]
        if self._phases.get(view.key) != view.phase:
            self._progress.reset(task, total=total)
            self._phases[view.key] = view.phase
        self._progress.update(
            task,
            completed=view.completed,
            total=total,
            label=view.label,
            doing=doing,
            figures=view.figures,
        )

    def finish(self, key: str, outcome: str) -> None:
        """Put a line in the place of the run's bar."""
        if key in self._tasks:
            self._progress.remove_task(self._tasks.pop(key))
        self._progress.console.print(outcome, markup=False, highlight=False)


class LineDisplay:
    """A line for each new phase of a run, and in between at most one in five seconds, if there is
    anything new."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._shown: dict[str, tuple[Phase | None, float, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def update(self, view: RunView) -> None:
        """Write a line, unless one was written just now."""
        now = self._clock()
        figures = f", {view.figures}" if view.figures else ""
        line = f"{view.label}: {view.doing}{view.share}{figures}"
        if view.key in self._shown:
            phase, shown_at, shown = self._shown[view.key]
            recent = now - shown_at < LINE_SECONDS
            if phase == view.phase and (recent or line == shown):
                return
        self._shown[view.key] = (view.phase, now, line)
        self._write(line)

    def finish(self, key: str, outcome: str) -> None:
        """Write how the run ended."""
        self._shown.pop(key, None)
        self._write(outcome)


def open_display(console: Console) -> Display:
    """Bars if the console is a terminal, lines otherwise."""
    if console.is_terminal:
        return BarDisplay(console)

    def write(line: str) -> None:
        console.file.write(f"{line}\n")
        console.file.flush()

    return LineDisplay(write)
