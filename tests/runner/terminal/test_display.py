"""Progress on terminals and in pipes."""

import io

from rich.console import Console

from core.schema.job import Phase
from runner.terminal.display import BarDisplay, LineDisplay, RunView, open_display
from tests.runner import examples


def view(phase: Phase | None, completed: int = 0, total: int = 0, latest=None) -> RunView:
    return RunView("r_1", "my [run]", phase, completed, total, latest)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_with_each_phase_and_every_five_seconds():
    lines: list[str] = []
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    display.update(view(Phase.COMPILING))
    display.update(view(Phase.TRAINING, 1, 250))
    clock.now = 4.9
    display.update(view(Phase.TRAINING, 2, 250))
    clock.now = 5.0
    display.update(view(Phase.TRAINING, 3, 250, examples.metric(3)))
    display.finish("r_1", "my run: succeeded")
    assert lines == [
        "my [run]: compiling",
        "my [run]: training 1/250",
        "my [run]: training 3/250, loss 3.0000, 4,096 tokens/s",
        "my run: succeeded",
    ]


def test_a_run_without_progress_gets_no_further_line():
    lines: list[str] = []
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    for clock.now, completed in ((0.0, 7), (10.0, 7), (20.0, 8)):
        display.update(view(Phase.TRAINING, completed, 250))
    assert lines == ["my [run]: training 7/250", "my [run]: training 8/250"]


def test_a_waiting_run_gets_one_line():
    lines: list[str] = []
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    for clock.now in (0.0, 10.0, 20.0):
        display.update(view(None))
    assert lines == ["my [run]: waiting"]


def test_pipes_get_no_control_codes():
    stream = io.StringIO()
    with open_display(Console(file=stream)) as display:
        display.update(view(Phase.TRAINING, 1, 2))
        display.finish("r_1", "done")
    assert stream.getvalue() == "my [run]: training 1/2\ndone\n"


def test_terminals_get_a_bar_for_each_run():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with open_display(console) as display:
        assert isinstance(display, BarDisplay)
        display.update(view(Phase.COMPILING))
        display.update(view(Phase.TRAINING, 7, 250, examples.metric(7)))
        display._progress.refresh()
        display.finish("r_1", "my [run]: succeeded")
    shown = stream.getvalue()
    assert "7/250" in shown
    assert "loss 3.0000" in shown
    assert "my [run]: succeeded" in shown
