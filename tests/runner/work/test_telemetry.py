"""How the device is doing, as the driver and the kernel tell it."""

import pytest

from core.schema.telemetry import Telemetry
from runner.work import telemetry
from runner.work.device import MEBIBYTE
from runner.work.telemetry import Gauges, parse_gpus, parse_memory, read_telemetry

MEMORY = """MemTotal:       16000 kB
MemFree:         1000 kB
MemAvailable:   12000 kB
"""


def test_one_gpu_tells_all():
    assert parse_gpus("61, 8192, 81559, 550.54.15\n") == Telemetry(
        temperature_celsius=61.0,
        memory_used_bytes=8192 * MEBIBYTE,
        memory_total_bytes=81559 * MEBIBYTE,
        driver="550.54.15",
    )


def test_of_several_gpus_the_hottest_counts_and_all_memory():
    found = parse_gpus("61, 100, 1000, 550\n75, 200, 1000, 550\n")
    assert found is not None
    assert found.temperature_celsius == 75.0
    assert found.memory_used_bytes == 300 * MEBIBYTE
    assert found.memory_total_bytes == 2000 * MEBIBYTE


def test_what_a_gpu_does_not_tell_is_left_out():
    found = parse_gpus("[N/A], 100, 1000, 550\n70, [N/A], 1000, 550\n")
    assert found == Telemetry(memory_total_bytes=2000 * MEBIBYTE, driver="550")


@pytest.mark.parametrize("answer", ["", "No devices were found\n", "61, 100\n"])
def test_without_a_gpu_there_is_nothing_to_tell(answer):
    assert parse_gpus(answer) is None


def test_a_processor_tells_the_machines_memory(tmp_path, monkeypatch):
    file = tmp_path / "meminfo"
    monkeypatch.setattr(telemetry, "MEMORY_FILE", file)
    assert read_telemetry("cpu") is None  # not on Linux
    file.write_text(MEMORY)
    assert read_telemetry("cpu") == Telemetry(
        memory_used_bytes=4000 * 1024, memory_total_bytes=16000 * 1024
    )
    assert parse_memory("MemTotal: 16000 kB\n") is None


@pytest.mark.parametrize(
    ("device", "answer", "driver"), [("cuda", "61, 1, 2, 550", "550"), ("auto", "", "")]
)
def test_gpus_are_asked_first_and_not_for_long(monkeypatch, tmp_path, device, answer, driver):
    asked = []

    def ask(query: str, longest_seconds: float) -> str:
        asked.append((query.removeprefix("--query-gpu=").split(","), longest_seconds))
        return answer

    monkeypatch.setattr(telemetry, "ask_gpus", ask)
    file = tmp_path / "meminfo"
    file.write_text(MEMORY)
    monkeypatch.setattr(telemetry, "MEMORY_FILE", file)
    found = read_telemetry(device)
    assert found is not None
    assert found.driver == driver
    fields = ["temperature.gpu", "memory.used", "memory.total", "driver_version"]
    assert asked == [(fields, 5.0)]


def test_a_gpu_machine_whose_driver_is_silent_tells_nothing(monkeypatch):
    monkeypatch.setattr(telemetry, "ask_gpus", lambda query, longest_seconds: "")
    assert read_telemetry("cuda") is None


def test_impossible_values_count_as_not_read(monkeypatch):
    monkeypatch.setattr(telemetry, "ask_gpus", lambda *_: "65535, 1, 2, 550")
    assert read_telemetry("cuda") is None


def test_the_device_is_read_once_a_minute():
    now = [0.0]
    reads = []

    def read(device: str) -> Telemetry:
        reads.append(device)
        return Telemetry(temperature_celsius=50.0)

    gauges = Gauges("cuda", read, lambda: now[0])
    news = []
    for moment in (0.0, 1.0, 59.9, 60.0, 119.0, 121.0):
        now[0] = moment
        news.append(gauges.news() is not None)
    assert news == [True, False, False, True, False, True]
    assert reads == ["cuda"] * 3
