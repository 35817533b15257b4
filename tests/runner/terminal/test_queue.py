import io

from rich.console import Console

from runner.api.answers import Queue
from runner.terminal.queue import print_queue

QUEUED = {
    "run_id": "r_1",
    "purpose": "submission",
    "submission_id": "s_1",
    "name": "Mine",
    "author": "me",
    "track": "debug",
    "state": "queued",
    "worker": None,
    "phase": None,
    "completed": 0,
    "total": 0,
}
FORECAST = {
    "as_of": "2026-11-25T12:00:00Z",
    "position": 2,
    "starts_at": "2026-11-25T12:02:05Z",
    "ends_at": None,
    "basis": None,
    "note": "",
}


def rows(*queued: dict, running: tuple[dict, ...] = ()) -> list[list[str]]:
    """Cells of the printed table, the first column first."""
    stream = io.StringIO()
    queue = Queue.model_validate({"running": running, "queued": queued})
    print_queue(Console(file=stream, width=200), queue)
    lines = stream.getvalue().splitlines()[3:-1]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


def test_the_queue_says_why_the_server_queued_a_run():
    asked = {**QUEUED, "run_id": "r_2", "purpose": "rerun"}
    nobody = {**QUEUED, "run_id": "r_3", "purpose": "baseline", "submission_id": ""}
    own, rerun, baseline = rows(QUEUED, asked, nobody)
    assert own[6:8] == ["r_1", ""]
    assert rerun[6:8] == ["r_2", "rerun"]
    assert baseline[2:8:5] == ["–", "baseline"]


def test_the_queue_says_when_a_job_should_start():
    unknown = {**QUEUED, "forecast": {**FORECAST, "position": 3, "starts_at": None}}
    running = {**QUEUED, "state": "running", "forecast": {**FORECAST, "position": None}}
    first, second, third = rows({**QUEUED, "forecast": FORECAST}, unknown, running=(running,))
    assert (first[0], first[10]) == ("", "")
    assert (second[0], second[10]) == ("2", "in about 2 min 5 s, 2026-11-25 12:02 UTC")
    assert (third[0], third[10]) == ("3", "–")


def test_a_narrow_terminal_gets_paragraphs_whose_ids_are_whole():
    stream = io.StringIO()
    doing = {"state": "running", "worker": "bench [1]", "phase": "training", "total": 250}
    running = {**QUEUED, **doing, "completed": 7, "submission_id": "s_qcl3xi3psp"}
    waiting = {**QUEUED, "run_id": "r_zu477byaqz", "purpose": "rerun", "forecast": FORECAST}
    queue = Queue.model_validate({"running": [running], "queued": [waiting]})
    print_queue(Console(file=stream, width=60), queue)
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "running s_qcl3xi3psp Mine",
        "   by me, debug, r_1, training 7/250, on bench [1]",
        "2. queued s_1 Mine",
        "   by me, debug, r_zu477byaqz, rerun, starts: in about 2 min",
        "   5 s, 2026-11-25 12:02 UTC",
    ]


def test_the_queue_ends_with_the_alarm():
    stream = io.StringIO()
    alarm = {"message": "1 job waits [here].", "num_jobs": 1}
    queue = Queue.model_validate({"running": [], "queued": [QUEUED], "alarm": alarm})
    print_queue(Console(file=stream, width=200), queue)
    assert stream.getvalue().splitlines()[-1] == "Alarm: 1 job waits [here]."


def test_the_queue_says_how_many_wait_behind_those_that_are_named():
    stream = io.StringIO()
    queue = Queue.model_validate({"running": [], "queued": [QUEUED], "num_queued": 1_201})
    print_queue(Console(file=stream, width=200), queue)
    assert stream.getvalue().splitlines()[-1] == "1,200 more wait behind them."


def test_an_empty_queue_is_said():
    stream = io.StringIO()
    print_queue(Console(file=stream), Queue(running=(), queued=()))
    assert stream.getvalue() == "The queue is empty.\n"
