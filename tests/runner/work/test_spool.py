"""What is sent of a growing run folder, and what is remembered."""

import errno

import pytest

from core.schema.job import MAX_LOG_CHARACTERS
from core.schema.metric_point import EXPERT_LOAD
from runner.errors import ServerUnreachable
from runner.runs.run_folder import RunFolder
from runner.work import spool as spool_module
from runner.work.spool import Spool, decode_start
from tests.runner import examples


class Server:
    """Stands in for `WorkerClient`."""

    def __init__(self) -> None:
        self.away = False
        self.batches: list[list[int]] = []
        self.log: list[tuple[int, str]] = []

    def send_metrics(self, job_id, token, points) -> None:
        self._check()
        self.batches.append([point.step for point in points])

    def send_log(self, job_id, token, offset, text) -> None:
        self._check()
        self.log.append((offset, text))

    def _check(self) -> None:
        if self.away:
            raise ServerUnreachable("away")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path)


def write_metrics(folder: RunFolder, *steps: int) -> None:
    with folder.metrics_path.open("a") as file:
        for step in steps:
            file.write(examples.metric(step).model_dump_json() + "\n")


def test_nothing_is_sent_of_an_empty_folder(folder):
    server = Server()
    assert not Spool(folder, server, "j", "t").send(final=True)
    assert server.batches == []
    assert server.log == []


def test_each_point_is_sent_once(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    write_metrics(folder, 1, 2)
    assert spool.send()
    write_metrics(folder, 3)
    assert spool.send()
    assert not spool.send()
    assert server.batches == [[1, 2], [3]]


def test_a_line_that_is_still_being_written_waits(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    write_metrics(folder, 1)
    line = examples.metric(2).model_dump_json()
    with folder.metrics_path.open("a") as file:
        file.write(line[:20])
    spool.send()
    with folder.metrics_path.open("a") as file:
        file.write(line[20:] + "\n")
    spool.send()
    assert server.batches == [[1], [2]]


def test_a_batch_holds_at_most_a_thousand_points(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    write_metrics(folder, *range(1, 2102))
    while spool.send():
        pass
    assert [len(batch) for batch in server.batches] == [1000, 1000, 101]
    assert [step for batch in server.batches for step in batch] == list(range(1, 2102))


def test_what_the_server_did_not_get_is_sent_again_in_order(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    write_metrics(folder, 1)
    server.away = True
    with pytest.raises(ServerUnreachable):
        spool.send()
    write_metrics(folder, 2)
    server.away = False
    spool.send()
    assert server.batches == [[1, 2]]


def test_a_new_worker_goes_on_where_the_server_acknowledged(folder):
    server = Server()
    write_metrics(folder, 1)
    folder.log_path.write_text("first\n")
    Spool(folder, server, "j", "t").send()
    write_metrics(folder, 2)
    with folder.log_path.open("a") as file:
        file.write("second\n")
    Spool(folder, server, "j", "new attempt").send()
    assert server.batches == [[1], [2]]
    assert server.log == [(0, "first\n"), (0, "second\n")]


def test_a_full_disk_costs_nothing_but_a_repetition(folder, monkeypatch, caplog):
    server = Server()
    spool = Spool(folder, server, "j", "t")

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module, "replace_file", refuse)
    for step in (1, 2):
        write_metrics(folder, step)
        assert spool.send()
    assert server.batches == [[1], [2]]
    assert caplog.text.count("No space left on device") == 1
    monkeypatch.undo()
    write_metrics(folder, 3)
    spool.send()
    Spool(folder, server, "j", "t").send()
    assert server.batches == [[1], [2], [3]]


def test_a_damaged_note_is_no_reason_to_lose_anything(folder):
    server = Server()
    write_metrics(folder, 1, 2)
    for content in (b'{"metrics_by', b"\0\0", b""):
        folder.spool_path.write_bytes(content)
        Spool(folder, server, "j", "t").send()
    assert server.batches == [[1, 2]] * 3


def test_metrics_that_lost_their_end_are_sent_from_the_start(folder):
    server = Server()
    write_metrics(folder, 1, 2, 3)
    folder.log_path.write_text("one\ntwo\n")
    Spool(folder, server, "j", "t").send()
    lines = folder.metrics_path.read_bytes().splitlines(keepends=True)
    folder.metrics_path.write_bytes(lines[0])
    folder.log_path.write_text("one\n")
    spool = Spool(folder, server, "j", "t")
    write_metrics(folder, 2, 3, 4)
    while spool.send():
        pass
    assert server.batches == [[1, 2, 3], [1, 2, 3, 4]]
    assert server.log == [(0, "one\ntwo\n"), (0, "one\n")]


def test_a_damaged_line_stops_none_of_the_others(folder, caplog):
    server = Server()
    write_metrics(folder, 1)
    with folder.metrics_path.open("ab") as file:
        file.write(b"\0" * 30 + b"\n")
    spool = Spool(folder, server, "j", "t")
    spool.send()
    write_metrics(folder, 2)
    spool.send()
    assert server.batches == [[1], [2]]
    assert "a damaged line of the metrics is left out" in caplog.text


def test_points_that_an_older_worker_left_on_the_disk_are_sent(folder):
    server = Server()
    old = examples.metric(1).model_dump_json(exclude=set(EXPERT_LOAD))
    folder.metrics_path.write_text(f"{old}\n")
    write_metrics(folder, 2)
    Spool(folder, server, "j", "t").send()
    assert server.batches == [[1, 2]]


def test_log_offsets_count_characters_not_bytes(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    folder.log_path.write_text("äöü\n", encoding="utf-8")
    spool.send()
    with folder.log_path.open("a") as file:
        file.write("x\n")
    spool.send()
    assert server.log == [(0, "äöü\n"), (4, "x\n")]


def test_a_long_log_is_cut_between_characters(folder):
    server = Server()
    spool = Spool(folder, server, "j", "t")
    text = "a" + "€" * MAX_LOG_CHARACTERS
    folder.log_path.write_text(text, encoding="utf-8")
    while spool.send(final=True):
        pass
    assert "".join(piece for _, piece in server.log) == text
    assert all(len(piece) <= MAX_LOG_CHARACTERS for _, piece in server.log)
    assert "�" not in text
    offsets = [offset for offset, _ in server.log]
    assert offsets == [sum(len(p) for _, p in server.log[:i]) for i in range(len(offsets))]


@pytest.mark.parametrize(
    ("data", "final", "expected"),
    [
        (b"ab", False, ("ab", 2)),
        (b"a\xe2\x82", False, ("a", 1)),
        (b"a\xe2\x82", True, ("a�", 3)),
        (b"a\xffb", False, ("a�b", 3)),
        (b"", True, ("", 0)),
    ],
)
def test_decoding_stops_before_an_unfinished_character(data, final, expected):
    assert decode_start(data, final) == expected
