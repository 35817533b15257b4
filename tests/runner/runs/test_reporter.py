"""What reporters keep and show."""

import json

import pytest

from core.schema.job import Phase
from runner.runs.reporter import BothReporter, DisplayReporter, FileReporter
from runner.runs.run_folder import RunFolder
from runner.stopping import StopRequest
from runner.terminal.display import RunView
from tests.runner import examples


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path)


def test_a_line_torn_by_a_crash_is_cut_off_before_more_is_written(folder):
    first = examples.metric(1).model_dump_json()
    folder.metrics_path.write_text(f'{first}\n{{"step": 2, "tok')
    with FileReporter(folder, StopRequest()) as reporter:
        reporter.metric(examples.metric(2))
    lines = folder.metrics_path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_progress_is_stored_at_most_twice_a_second_within_a_phase(folder):
    with FileReporter(folder, StopRequest()) as reporter:
        reporter.phase(Phase.TRAINING, 0, 10)
        reporter.phase(Phase.TRAINING, 1, 10)
        assert folder.progress().completed == 0
        reporter.phase(Phase.TRAINING, 10, 10)
        assert folder.progress().completed == 10
        reporter.phase(Phase.EVALUATING, 0, 5)
        assert folder.progress().phase is Phase.EVALUATING


def test_both_reporter_keeps_and_shows_and_stops_on_request(folder):
    display, stop = examples.SilentDisplay(), StopRequest()
    with FileReporter(folder, stop) as files:
        reporter = BothReporter(files, DisplayReporter(display, "my run"))
        reporter.phase(Phase.TRAINING, 3, 10)
        reporter.metric(examples.metric(3))
        assert not reporter.should_stop()
        stop.ask()
        assert reporter.should_stop()
    expected = RunView("my run", "my run", Phase.TRAINING, 3, 10, examples.metric(3))
    assert display.views[-1] == expected
    assert folder.latest_metric() == examples.metric(3)
