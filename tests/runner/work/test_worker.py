"""The loop around jobs."""

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from runner.errors import Denied, NoRoom, NotFound, ProtocolMismatch, ServerUnreachable
from runner.stopping import StopRequest
from runner.work import outage
from runner.work import worker as worker_module
from runner.work.worker import Worker, WorkerOptions
from tests.runner import examples
from tests.runner.work import programs
from tests.runner.work.test_child import is_alive, wait_for

pytestmark = pytest.mark.usefixtures("short_waits", "result_file")


class Bench:
    def __init__(self, client, hello, tmp_path) -> None:
        self.client, self.hello, self.tmp_path = client, hello, tmp_path
        self.stop = StopRequest()

    def work(self, body: str = programs.SUCCEED, once: bool = True) -> None:
        options = WorkerOptions(
            directory=self.tmp_path,
            environment=examples.environment(self.tmp_path),
            once=once,
            rest_seconds=20.0,
            hang_seconds=60.0,
            upload_seconds=0.1,
            child_command=programs.program(self.tmp_path, body),
        )
        Worker(self.client, self.hello, options, self.stop, examples.SilentDisplay()).run()


@pytest.fixture
def bench(client, hello, tmp_path) -> Bench:
    return Bench(client, hello, tmp_path)


def test_once_works_until_the_queue_is_empty(bench, server, offer):
    second = offer.model_copy(update={"job_id": "j_2", "run": examples.spec("r_2")})
    server.offers = [offer, second]
    bench.work()
    assert server.ended_by() == ["result", "result"]
    assert server.calls[-1] == "claim"
    assert (bench.tmp_path / "runs" / "r_2" / "result.json").exists()


def test_without_once_the_worker_asks_again_until_it_is_stopped(bench, server):
    server.on_call = lambda name: bench.stop.ask() if server.calls.count("claim") == 3 else None
    bench.work(once=False)
    assert server.calls.count("claim") >= 3
    assert server.calls.count("workers") == 1


def test_an_idle_worker_tells_of_its_device_once_a_minute(bench, server, monkeypatch):
    monkeypatch.setattr(worker_module, "num_gpus", lambda device: 2)
    polls = []

    def note(name: str) -> None:
        if name == "claim" and "claim" in server.bodies:
            polls.append(server.bodies["claim"])
        if len(polls) == 3:
            bench.stop.ask()

    server.on_call = note
    bench.work(once=False)
    assert {poll["num_devices"] for poll in polls} == {2}
    told = [poll["telemetry"] for poll in polls]
    assert told[0]["memory_total_bytes"] > 0
    assert told[1:] == [None, None]


def test_a_server_that_forgot_the_worker_is_introduced_to_it_again(bench, server):
    server.known = True

    def forget(name: str) -> None:
        if name == "claim" and server.calls.count("claim") == 0:
            server.known = False

    server.on_call = forget
    bench.work()
    assert server.calls == ["workers", "claim", "workers", "claim"]


def test_an_address_without_the_api_ends_the_worker(bench, monkeypatch):
    def nothing_there(*arguments):
        raise NotFound("There is nothing at /elsewhere/api/v1/workers.")

    monkeypatch.setattr(bench.client, "register", nothing_there)
    with pytest.raises(NotFound, match="nothing at"):
        bench.work(once=False)


def test_the_worker_waits_for_a_server_that_starts_later(bench, server):
    tries = 0

    def start_later(name: str) -> None:
        nonlocal tries
        tries += 1
        server.away = tries < 4

    server.on_call = start_later
    bench.work()
    assert tries >= 4
    assert server.calls == ["workers", "claim"]


def test_the_worker_gives_up_after_an_hour_without_a_server(bench, server, monkeypatch):
    monkeypatch.setattr(outage, "PATIENCE_SECONDS", 0.1)
    server.away = True
    with pytest.raises(ServerUnreachable):
        bench.work()


def test_a_job_that_breaks_the_worker_is_reported_and_the_next_one_done(bench, server, offer):
    second = offer.model_copy(update={"job_id": "j_2", "run": examples.spec("r_2")})
    server.offers = [offer, second]
    (bench.tmp_path / "runs").mkdir()
    (bench.tmp_path / "runs" / "r_1").write_text("a file where the run folder should be")
    bench.work()
    assert server.ended_by() == ["failure", "result"]
    assert server.bodies["failure"]["kind"] == "internal_error"
    assert "NotADirectoryError" in server.bodies["failure"]["message"]


def test_a_server_of_another_version_ends_the_worker(bench, server, monkeypatch):
    def refuse(*arguments):
        raise ProtocolMismatch("update the worker")

    monkeypatch.setattr(bench.client, "register", refuse)
    with pytest.raises(ProtocolMismatch):
        bench.work()


@pytest.mark.parametrize("call", ["register", "claim", "heartbeat"])
def test_a_server_that_no_longer_takes_the_token_ends_the_worker(
    bench, server, offer, monkeypatch, call
):
    def refuse(*arguments):
        raise Denied("this needs a valid access token")

    server.offers = [offer]
    monkeypatch.setattr(bench.client, call, refuse)
    with pytest.raises(Denied):
        bench.work(programs.SUCCEED)


def test_no_job_is_taken_while_the_disk_is_full(bench, server, offer, monkeypatch, caplog):
    monkeypatch.setattr(worker_module, "DISK_SECONDS", 0.01)
    answers = iter(["no file can be written", "no file can be written"])
    monkeypatch.setattr(worker_module, "disk_shortage", lambda folders: next(answers, None))
    server.offers = [offer]
    server.on_call = lambda name: bench.stop.ask() if name == "result" else None
    bench.work(once=False)
    assert server.ended_by() == ["result"]
    assert caplog.text.count("no job is taken: no file can be written") == 1


def test_once_ends_on_a_full_disk(bench, server, monkeypatch):
    monkeypatch.setattr(worker_module, "disk_shortage", lambda folders: "it is full")
    with pytest.raises(NoRoom, match=r"No job is taken: it is full\."):
        bench.work()
    assert server.calls == []


def test_a_damaged_run_folder_is_set_aside_and_the_run_starts_anew(bench, server, offer):
    server.offers = [offer]
    folder = bench.tmp_path / "runs" / "r_1"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text('{"run_id": "r_')
    bench.work()
    assert server.ended_by() == ["result"]
    assert len(list(folder.parent.glob("r_1.damaged-*"))) == 1


def test_the_same_machine_goes_on_with_a_job_that_it_lost(bench, server, offer):
    server.offers = [offer, offer.model_copy(update={"attempt": 2, "lease_token": "second"})]
    body = f"""
if not os.path.exists(folder + "/checkpoint-000000001"):
    os.mkdir(folder + "/checkpoint-000000001")
    metric(1)
    os.kill(os.getpid(), signal.SIGKILL)
metric(2)
{programs.SUCCEED.replace("metric(1); metric(2); ", "")}
"""
    bench.work(body)
    assert server.ended_by() == ["failure", "result"]
    assert server.steps == [1, 2]
    assert server.bodies["result"]["lease_token"] == "second"


@pytest.fixture
def live_server(server):
    """The fake server behind a real port, for a worker in a process of its own."""
    import httpx

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.handle(httpx.Request("POST", f"http://server{self.path}", content=body))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *arguments) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def worker_process(live_server, tmp_path):
    """A worker of the command line whose training program is a test's."""
    processes = []

    def start(body: str) -> subprocess.Popen:
        command = programs.program(tmp_path, body)
        code = (
            "from runner.work import worker, start\n"
            f"original = worker.WorkerOptions\n"
            f"start.WorkerOptions = lambda **k: original(child_command={command!r}, **k)\n"
            "from runner.cli import app\n"
            f"app(['worker', '--server', {live_server!r}, '--directory', {str(tmp_path)!r},"
            " '--device', 'cpu'])\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, cwd=tmp_path, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_sigterm_drains_a_worker_and_ends_it_with_status_0(worker_process, server, offer, tmp_path):
    server.offers = [offer]
    process = worker_process(programs.STEP_UNTIL_ASKED)
    folder = tmp_path / "runs" / "r_1"
    wait_for((folder / "started").exists)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (folder / "checkpoint-000000001").exists()
    assert server.ended_by() == ["release"]
    assert "Traceback" not in log


def test_the_child_of_a_killed_worker_ends_too(worker_process, server, offer, tmp_path):
    server.offers = [offer]
    process = worker_process(
        """
from runner.execute import die_with_parent
die_with_parent(parent)
write("pid", str(os.getpid()))
time.sleep(60)
""".replace("from runner", "import site; site.main(); from runner")
    )
    pid_file = tmp_path / "runs" / "r_1" / "pid"
    wait_for(pid_file.exists)
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    process.kill()
    began = time.monotonic()
    wait_for(lambda: not is_alive(pid))
    assert time.monotonic() - began < 5.0


def test_the_worker_rests_longer_after_each_fault_of_its_machine(bench, server, offer, monkeypatch):
    rests = []
    monkeypatch.setattr(Worker, "_sleep", lambda self, seconds: rests.append(seconds))
    server.offers = [
        offer.model_copy(update={"job_id": f"j_{n}", "run": examples.spec(f"r_{n}")})
        for n in range(3)
    ]
    (bench.tmp_path / "runs").mkdir()
    for n in range(2):
        (bench.tmp_path / "runs" / f"r_{n}").write_text("a file where the run folder should be")
    server.on_call = lambda name: bench.stop.ask() if server.calls.count("claim") > 3 else None
    bench.work(once=False)
    assert [seconds for seconds in rests if seconds >= 15] == [20, 40]
