"""One job: trained in a process, reported, stopped, handed back."""

import hashlib
import time
from threading import Timer

import httpx
import pytest

from core.schema.checkpoint import StoredCheckpoint
from core.schema.telemetry import Telemetry
from core.train.checkpoint_folder import FILES
from runner.runs.run_folder import RunFolder
from runner.stopping import StopRequest
from runner.work import attempt, checkpoint_fetch, outage
from runner.work.anchors import Anchors
from runner.work.attempt import Attempt
from runner.work.checkpoint_archive import open_archive
from runner.work.checkpoint_upload import UploadRules
from runner.work.outcome import Outcome
from runner.work.telemetry import Gauges
from tests.runner import examples
from tests.runner.work import programs
from tests.runner.work.test_child import is_alive, wait_for

pytestmark = pytest.mark.usefixtures("short_waits", "result_file")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


class Bench:
    """Carries out the offered job with a program."""

    def __init__(self, offer, folder, client, tmp_path) -> None:
        self.offer, self.folder, self.client = offer, folder, client
        self.tmp_path = tmp_path
        self.stop = StopRequest()
        self.heartbeat_seconds = 0.05
        self.hang_seconds = 60.0
        self.upload_rules = UploadRules(every_seconds=0.0, max_bytes=0)
        self.gauges = Gauges("cpu", lambda device: None)
        self.display = examples.SilentDisplay()
        self.anchors = Anchors("cpu", programs.program(tmp_path, programs.ANCHOR, "anchor.py"))

    def carry_out(self, body: str) -> Outcome:
        command = programs.program(self.tmp_path, body)
        job = Attempt(
            self.offer,
            self.folder,
            self.client,
            self.heartbeat_seconds,
            self.stop,
            self.display,
            self.anchors,
            self.hang_seconds,
            self.upload_rules,
            self.gauges,
            command,
        )
        return job.run(examples.environment(self.tmp_path))


@pytest.fixture
def bench(offer, folder, client, tmp_path) -> Bench:
    return Bench(offer, folder, client, tmp_path)


def test_metrics_log_and_result_arrive_in_that_order(bench, server):
    assert bench.carry_out(programs.SUCCEED) is Outcome.SUCCEEDED
    assert server.steps == [1, 2]
    assert server.log == "hello from the child\n"
    assert server.bodies["result"]["result"]["val_loss"] == 2.0
    assert server.calls[-1] == "result"
    assert bench.display.finished == ["debug r_1: succeeded"]


def test_a_failure_is_passed_on_as_the_child_wrote_it(bench, server):
    assert bench.carry_out(programs.FAIL) is Outcome.FAILED
    assert server.bodies["failure"]["kind"] == "diverged"
    assert server.bodies["failure"]["message"] == "loss is nan"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (programs.SEGFAULT, "SIGSEGV"),
        (programs.DIE, "SIGKILL"),
        (programs.CRASH, "ValueError: no such luck"),
        ("pass", "ended with status 0"),
    ],
)
def test_a_child_that_dies_is_an_internal_error(bench, server, body, message, caplog):
    assert bench.carry_out(body) is Outcome.PLATFORM_FAULT
    assert server.bodies["failure"]["kind"] == "internal_error"
    assert message in server.bodies["failure"]["message"]
    # Whoever looks after the machine reads it in the worker's own log.
    assert f"debug r_1 failed: {server.bodies['failure']['message']}" in caplog.text
    assert server.log.startswith("hello from the child")


def test_a_child_that_hangs_is_ended_with_all_that_it_started(bench, server, folder):
    bench.hang_seconds = 1.0
    assert bench.carry_out(programs.HANG) is Outcome.PLATFORM_FAULT
    assert server.bodies["failure"]["kind"] == "internal_error"
    assert "no progress for 1 s" in server.bodies["failure"]["message"]
    assert server.steps == [1]
    assert "still here" in server.log
    grandchild = int((folder.path / "grandchild").read_text())
    wait_for(lambda: not is_alive(grandchild))


def test_heartbeats_go_on_while_the_child_works(bench, server):
    server.on_call = lambda name: bench.stop.ask() if server.calls.count("heartbeat") >= 3 else None
    bench.carry_out(programs.STEP_UNTIL_ASKED)
    assert server.calls.count("heartbeat") >= 3
    assert server.bodies["heartbeat"]["phase"] in ("training", "preparing_data")


def test_a_heartbeat_tells_how_the_device_is(bench, server):
    told = []

    def note_the_last_one(name: str) -> None:
        if name == "heartbeat" and name in server.bodies:
            told.append(server.bodies[name].get("telemetry", {}).get("driver"))
        if len(told) == 3:
            bench.stop.ask()

    bench.gauges = Gauges("cuda", lambda device: Telemetry(driver=f"of {device}"))
    server.on_call = note_the_last_one
    bench.carry_out(programs.STEP_UNTIL_ASKED)
    assert told[:3] == ["of cuda", None, None]


def test_progress_is_reported_more_often_than_heartbeats_are_due(bench, server, monkeypatch):
    monkeypatch.setattr(attempt, "PROGRESS_SECONDS", 0.0)
    bench.heartbeat_seconds = 3600.0
    body = """
for completed in range(40):
    write("phase.json", json.dumps(dict(phase="training", completed=completed, total=40)))
    time.sleep(0.02)
time.sleep(0.3)
"""
    bench.carry_out(body)
    assert server.calls.count("heartbeat") > 3
    assert server.bodies["heartbeat"]["completed"] == 39


def test_a_request_to_stop_lets_the_child_write_a_checkpoint_and_hands_the_job_back(
    bench, server, folder
):
    def ask_once(name: str) -> None:
        if (folder.path / "started").exists() and not bench.stop.requested:
            bench.stop.ask()

    server.on_call = ask_once
    assert bench.carry_out(programs.STEP_UNTIL_ASKED) is Outcome.RELEASED
    assert (folder.path / "checkpoint-000000001").exists()
    assert server.ended_by() == ["release"]
    written = [point.step for point in folder.metrics()]
    assert server.steps == written


def test_a_job_is_handed_back_although_the_server_was_away_just_now(
    bench, server, folder, monkeypatch
):
    monkeypatch.setattr(outage, "FIRST_DELAY_SECONDS", 60.0)
    monkeypatch.setattr(outage, "LONGEST_DELAY_SECONDS", 60.0)

    def be_away_until_asked_to_stop(name: str) -> None:
        server.away = not bench.stop.requested

    server.on_call = be_away_until_asked_to_stop
    Timer(1.0, bench.stop.ask).start()
    assert bench.carry_out(programs.STEP_UNTIL_ASKED) is Outcome.RELEASED
    assert server.ended_by() == ["release"]
    assert server.steps == [point.step for point in folder.metrics()]


def test_a_second_request_kills_the_child_at_once(bench, server, folder):
    def ask(name: str) -> None:
        if (folder.path / "started").exists():
            bench.stop.ask()

    server.on_call = ask
    began = time.monotonic()
    assert bench.carry_out(programs.IGNORE_REQUESTS) is Outcome.RELEASED
    assert time.monotonic() - began < 4.0
    assert server.ended_by() == ["release"]


def test_cancelling_stops_a_child_that_does_not_listen_and_all_that_it_started(
    bench, server, folder
):
    def cancel(name: str) -> None:
        server.cancelled = (folder.path / "started").exists()

    server.on_call = cancel
    assert bench.carry_out(programs.IGNORE_REQUESTS) is Outcome.CANCELLED
    assert server.bodies["failure"]["kind"] == "cancelled"
    grandchild = int((folder.path / "grandchild").read_text())
    wait_for(lambda: not is_alive(grandchild))


def test_a_lost_lease_stops_the_child_and_reports_nothing_more(bench, server, folder):
    def lose(name: str) -> None:
        server.lease_lost = (folder.path / "started").exists()

    server.on_call = lose
    assert bench.carry_out(programs.IGNORE_REQUESTS) is Outcome.LEASE_LOST
    assert server.ended_by() == []
    grandchild = int((folder.path / "grandchild").read_text())
    wait_for(lambda: not is_alive(grandchild))


def test_training_goes_on_without_the_server_and_everything_arrives_afterwards(
    bench, server, folder
):
    calls = 0

    def go_away(name: str) -> None:
        nonlocal calls
        calls += 1
        ended = folder.result_path.exists() and calls > 12
        server.away = not ended

    server.on_call = go_away
    assert bench.carry_out(programs.SUCCEED) is Outcome.SUCCEEDED
    assert server.steps == [1, 2]
    assert server.ended_by() == ["result"]


def test_after_an_hour_without_the_server_the_run_is_kept_for_later(
    bench, server, folder, monkeypatch
):
    monkeypatch.setattr(outage, "PATIENCE_SECONDS", 0.3)
    server.away = True
    assert bench.carry_out(programs.SUCCEED) is Outcome.GAVE_UP
    assert folder.result() is not None


def test_a_result_that_was_never_reported_is_reported_without_training_again(
    bench, server, folder, offer, tmp_path
):
    folder.prepare(offer.run, examples.environment(tmp_path))
    folder.write_result(examples.result(val_loss=1.5))
    assert bench.carry_out(programs.CRASH) is Outcome.SUCCEEDED
    assert server.bodies["result"]["result"]["val_loss"] == 1.5
    assert server.log == ""


@pytest.mark.parametrize(
    ("body", "kept"),
    [(programs.SUCCEED, False), (programs.FAIL, False), (programs.CRASH, True)],
)
def test_checkpoints_stay_only_if_the_run_may_go_on(bench, folder, body, kept):
    checkpoint = folder.path / "checkpoint-000000005"
    checkpoint.mkdir(parents=True)
    bench.carry_out(body)
    assert checkpoint.exists() is kept
    assert folder.log_path.exists()


def test_a_folder_that_another_process_trains_in_is_left_alone(bench, server):
    assert bench.carry_out("sys.exit(7)") is Outcome.RELEASED
    assert server.ended_by() == ["release"]


@pytest.fixture
def anchored_offer(bench, offer):
    """The job of a track whose base config is to be measured first."""
    run = offer.run.model_copy(update={"anchor": offer.run.experiment})
    bench.offer = offer.model_copy(update={"run": run})
    return bench.offer


@pytest.mark.usefixtures("anchored_offer")
def test_an_anchor_is_measured_before_the_run_and_once_a_session(bench, folder):
    look = "assert os.path.exists(folder + '/anchor.json')\n"
    assert bench.carry_out(look + programs.SUCCEED) is Outcome.SUCCEEDED
    assert folder.anchor() == examples.anchor()
    assert (folder.path / "measured").read_text() == "once"
    for path in (folder.result_path, folder.path / "measured"):
        path.unlink()
    assert bench.carry_out(look + programs.SUCCEED) is Outcome.SUCCEEDED
    assert not (folder.path / "measured").exists()
    assert folder.anchor() == examples.anchor()


@pytest.mark.usefixtures("anchored_offer")
@pytest.mark.parametrize("body", [programs.SEGFAULT, programs.CRASH, "time.sleep(60)"])
def test_a_run_goes_on_where_its_anchor_cannot_be_measured(
    bench, folder, tmp_path, monkeypatch, body
):
    monkeypatch.setattr(attempt, "LONGEST_SECONDS", 1.0)
    bench.anchors = Anchors("cpu", programs.program(tmp_path, body, "anchor.py"))
    assert bench.carry_out(programs.SUCCEED) is Outcome.SUCCEEDED
    assert folder.anchor() is None
    # A failure is kept too, so that the session pays for it once.
    assert bench.anchors.find(bench.offer.run) == (None,)


def test_a_request_to_stop_ends_measuring_and_hands_the_job_back(
    bench, server, folder, tmp_path, anchored_offer
):
    def ask(name: str) -> None:
        if (folder.path / "started").exists() and not bench.stop.requested:
            bench.stop.ask()

    server.on_call = ask
    body = 'mark("started"); time.sleep(60)'
    bench.anchors = Anchors("cpu", programs.program(tmp_path, body, "anchor.py"))
    assert bench.carry_out("mark('trained')") is Outcome.RELEASED
    assert server.ended_by() == ["release"]
    assert not (folder.path / "trained").exists()
    assert bench.anchors.find(anchored_offer.run) is None


@pytest.mark.usefixtures("anchored_offer")
def test_a_run_is_cancelled_while_its_anchor_is_measured(bench, server, folder, tmp_path):
    def cancel(name: str) -> None:
        server.cancelled = (folder.path / "started").exists()

    server.on_call = cancel
    body = 'mark("started"); time.sleep(60)'
    bench.anchors = Anchors("cpu", programs.program(tmp_path, body, "anchor.py"))
    assert bench.carry_out("mark('trained')") is Outcome.CANCELLED
    assert server.bodies["failure"]["kind"] == "cancelled"
    assert not (folder.path / "trained").exists()


CHECKPOINT = """
def checkpoint(step):
    os.mkdir(f"{folder}/.part")
    for name in ("config.json", "manifest.json", "model.safetensors", "state.pt"):
        with open(f"{folder}/.part/{name}", "w") as file:
            file.write(f"{name} of step {step}")
    os.rename(f"{folder}/.part", f"{folder}/checkpoint-{step:09d}")
"""


def test_checkpoints_go_to_the_server_while_the_child_trains(bench, server, folder, tmp_path):
    bench.upload_rules = UploadRules(every_seconds=0.1, max_bytes=10**6)
    body = f"""{CHECKPOINT}
checkpoint(5)
while not os.path.exists(folder + "/go-on"):
    time.sleep(0.02)
checkpoint(10)
time.sleep(1.0)
{programs.SUCCEED}
"""

    def go_on(name: str) -> None:
        if len(server.checkpoints) == 1:
            (folder.path / "go-on").touch()

    server.on_call = go_on
    assert bench.carry_out(body) is Outcome.SUCCEEDED
    assert [step for step, _ in server.checkpoints] == [5, 10]
    assert server.steps == [1, 2]


@pytest.mark.parametrize("refusal", [400, 500, 507])
def test_a_checkpoint_that_cannot_be_uploaded_does_not_fail_the_run(bench, server, refusal):
    bench.upload_rules = UploadRules(every_seconds=0.1, max_bytes=10**6)
    message = {"kind": "some_kind", "message": "No room."}
    server.checkpoint_answer = httpx.Response(refusal, json=message)
    body = f"{CHECKPOINT}\ncheckpoint(5)\ntime.sleep(1.0)\n{programs.SUCCEED}"
    assert bench.carry_out(body) is Outcome.SUCCEEDED
    assert server.calls.count("checkpoint") >= (1 if refusal == 400 else 2)
    assert server.ended_by() == ["result"]


@pytest.fixture
def stored(bench, server, tmp_path):
    """A checkpoint of step 7 on the server, which the offer names."""
    source = tmp_path / "elsewhere"
    source.mkdir()
    for name in FILES:
        (source / name).write_text(name)
    with open_archive(source) as archive:
        content = b"".join(archive.pieces())
    server.checkpoints = [(7, content)]
    sha256 = hashlib.sha256(content).hexdigest()
    checkpoint = StoredCheckpoint(step=7, num_bytes=len(content), sha256=sha256)
    bench.offer = bench.offer.model_copy(update={"attempt": 2, "checkpoint": checkpoint})
    return content


NEEDS_SEVEN = """
for name in ("config.json", "manifest.json", "model.safetensors", "state.pt"):
    with open(f"{folder}/checkpoint-000000007/{name}") as file:
        assert file.read() == name
"""


@pytest.mark.usefixtures("stored")
def test_the_child_goes_on_from_what_an_earlier_attempt_left_on_the_server(bench, server, folder):
    assert bench.carry_out(NEEDS_SEVEN + programs.SUCCEED) is Outcome.SUCCEEDED
    assert "INFO fetched the checkpoint of step 7 from the server" in server.log
    assert not list(folder.path.glob("*.part"))


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("step", "fetched"), [(6, True), (7, False), (8, False)])
def test_a_machine_that_has_as_much_fetches_nothing(bench, server, folder, step, fetched):
    (folder.path / f"checkpoint-{step:09d}").mkdir(parents=True)
    assert bench.carry_out(programs.SUCCEED) is Outcome.SUCCEEDED
    assert ("checkpoint" in server.calls) is fetched


def damaged(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=bytes([content[0] ^ 1]) + content[1:])


def shortened(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content[:-1])


def lengthened(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content + b"x")


def missing(content: bytes) -> httpx.Response:
    return httpx.Response(404, json={"kind": "not_found", "message": "No artifact."})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (damaged, "its hash is not the one that was announced"),
        (shortened, "it should have"),
        (lengthened, "it should have"),
        (missing, "No artifact."),
    ],
)
def test_a_checkpoint_of_no_use_lets_training_start_anew_and_the_log_says_so(
    bench, server, folder, stored, answer, reason
):
    server.checkpoint_answer = answer(stored)
    look = "assert not [name for name in os.listdir(folder) if 'checkpoint' in name]\n"
    assert bench.carry_out(look + programs.SUCCEED) is Outcome.SUCCEEDED
    assert "step 7 on the server is of no use, training starts anew: " + reason in server.log
    assert server.calls.count("checkpoint") == 1


@pytest.mark.usefixtures("stored")
def test_a_checkpoint_is_asked_for_again_where_the_server_fails(bench, server, monkeypatch):
    monkeypatch.setattr(checkpoint_fetch, "RETRY_SECONDS", (0.05, 0.05))
    server.checkpoint_answer = httpx.Response(503, json={"kind": "busy", "message": "Busy."})

    def recover(name: str) -> None:
        if server.calls.count("checkpoint") == 2:
            server.checkpoint_answer = None

    server.on_call = recover
    assert bench.carry_out(NEEDS_SEVEN + programs.SUCCEED) is Outcome.SUCCEEDED


@pytest.mark.usefixtures("stored")
def test_heartbeats_go_on_and_a_request_to_stop_is_heard_while_a_checkpoint_is_fetched(
    bench, server, folder, monkeypatch
):
    monkeypatch.setattr(checkpoint_fetch, "RETRY_SECONDS", (60.0,))
    server.checkpoint_answer = httpx.Response(503, json={"kind": "busy", "message": "Busy."})

    def ask(name: str) -> None:
        if server.calls.count("heartbeat") >= 3 and not bench.stop.requested:
            bench.stop.ask()

    server.on_call = ask
    assert bench.carry_out("mark('trained')") is Outcome.RELEASED
    assert server.calls.count("heartbeat") >= 3
    assert not (folder.path / "trained").exists()
