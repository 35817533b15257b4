"""What this machine offers for training, found without importing torch."""

import os
import platform
import subprocess
from dataclasses import dataclass
from typing import Literal

QUERY = "--query-gpu=name,memory.total"
STATE_QUERY = "--query-gpu=name,uuid,driver_version"
QUERY_SECONDS = 20.0
MEBIBYTE = 1024**2

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Device:
    """The device that a run would use."""

    name: str
    """GPU model, or `cpu`."""
    memory_bytes: int
    """Memory of the GPU, or of the machine."""
    has_cuda: bool
    """Whether it is a CUDA GPU."""


def find_device(wanted: DeviceName = "auto") -> Device:
    """The first visible GPU, or else the processor.

    `CUDA_VISIBLE_DEVICES` is followed. With `cuda`, a machine on which `nvidia-smi` does not
    answer still counts as a GPU machine, of unknown name and no known memory.
    """
    if wanted == "cpu":
        return _processor()
    gpus = _visible_gpus()
    if gpus:
        return gpus[0]
    return _processor() if wanted == "auto" else Device("unknown GPU", 0, has_cuda=True)


def num_gpus(wanted: DeviceName = "auto") -> int:
    """Visible GPUs that can train together: all if they are of one model, else the first."""
    gpus = [] if wanted == "cpu" else _visible_gpus()
    return len(gpus) if len(set(gpus)) == 1 else min(1, len(gpus))


def device_state(wanted: DeviceName = "auto") -> str:
    """Which devices a run would find, and under which driver; equal as long as neither changes."""
    gpus = "" if wanted == "cpu" else ask_gpus(STATE_QUERY)
    return gpus or f"{platform.platform()}, {os.cpu_count()} processors"


def _visible_gpus() -> list[Device]:
    return parse_gpus(ask_gpus(QUERY))


def ask_gpus(query: str, longest_seconds: float = QUERY_SECONDS) -> str:
    """A line for each visible GPU; empty if there is none, or none answers in time."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ""
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    if visible is not None:
        command.append(f"--id={visible.replace(' ', '')}")
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=longest_seconds, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_gpus(answer: str) -> list[Device]:
    """GPUs of an answer of `nvidia-smi`, one line `name, mebibytes` for each."""
    gpus = []
    for line in answer.splitlines():
        name, _, memory = line.rpartition(", ")
        if name.strip() and memory.strip().isdigit():
            gpus.append(Device(name.strip(), int(memory) * MEBIBYTE, has_cuda=True))
    return gpus


def _processor() -> Device:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Device("cpu", pages * page_bytes, has_cuda=False)
