"""How the device is doing, read now and then.

`nvidia-smi` comes with the driver and needs no package; without it, and where it does not answer in
time, nothing is told.
"""

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from core.schema.telemetry import Telemetry
from runner.work.device import MEBIBYTE, DeviceName, ask_gpus

QUERY = "--query-gpu=temperature.gpu,memory.used,memory.total,driver_version"
READ_SECONDS = 5.0
"""How long a heartbeat may wait for the driver's answer."""
INTERVAL_SECONDS = 60.0
MEMORY_FILE = Path("/proc/meminfo")


def read_telemetry(device: DeviceName) -> Telemetry | None:
    """Read the visible GPUs, or the memory of a machine without; None if nothing can be read.

    Values that no device can have, such as a temperature of 65,535 °C, count as not read.
    """
    try:
        return _read(device)
    except ValidationError:
        return None


def _read(device: DeviceName) -> Telemetry | None:
    gpus = None if device == "cpu" else parse_gpus(ask_gpus(QUERY, READ_SECONDS))
    if gpus is not None or device == "cuda":
        return gpus
    try:
        return parse_memory(MEMORY_FILE.read_text(encoding="utf-8"))
    except OSError:
        return None


def parse_gpus(answer: str) -> Telemetry | None:
    """What `nvidia-smi` says, a line for each GPU; None without one.

    A GPU that does not tell a value, `[N/A]`, leaves it out of the whole.
    """
    lines = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    lines = [line for line in lines if len(line) == len(QUERY.split(","))]
    if not lines:
        return None
    temperatures, used, total = (_numbers([line[place] for line in lines]) for place in range(3))
    return Telemetry(
        temperature_celsius=max(temperatures) if temperatures else None,
        memory_used_bytes=sum(used) * MEBIBYTE if used else None,
        memory_total_bytes=sum(total) * MEBIBYTE if total else None,
        driver=lines[0][3][:80],
    )


def parse_memory(text: str) -> Telemetry | None:
    """Memory of a Linux machine, from `/proc/meminfo`; None if it does not say."""
    kibibytes = {name: rest.split()[0] for name, _, rest in _partitions(text) if rest.split()}
    values = _numbers([kibibytes.get("MemTotal", ""), kibibytes.get("MemAvailable", "")])
    if not values:
        return None
    total, available = values
    return Telemetry(memory_used_bytes=(total - available) * 1024, memory_total_bytes=total * 1024)


class Gauges:
    """Reads the device once a minute, however often it is asked."""

    def __init__(
        self,
        device: DeviceName,
        read: Callable[[DeviceName], Telemetry | None] = read_telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._read = read
        self._clock = clock
        self._read_at = float("-inf")

    def news(self) -> Telemetry | None:
        """What was read just now; None if it is too early, or nothing can be read."""
        now = self._clock()
        if now < self._read_at + INTERVAL_SECONDS:
            return None
        self._read_at = now
        return self._read(self._device)


def _partitions(text: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in text.splitlines()]


def _numbers(cells: list[str]) -> list[int]:
    """All cells as whole numbers; none if one of them is not."""
    return [int(cell) for cell in cells] if all(cell.isdecimal() for cell in cells) else []
