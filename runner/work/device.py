"""What this machine offers for training, found without importing torch."""

import os
import subprocess
from dataclasses import dataclass
from typing import Literal

QUERY = "--query-gpu=name,memory.total"
QUERY_SECONDS = 20.0
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Device:
    """The device that a run would use."""

    name: str
    """GPU model, or `cpu`."""
    memory_bytes: int
    """Memory of the GPU, or of the machine."""
    has_cuda: bool
    """Whether it is a CUDA GPU."""


def find_device(wanted: Literal["auto", "cpu", "cuda"] = "auto") -> Device:
    """The first visible GPU, or else the processor.

    `CUDA_VISIBLE_DEVICES` is followed. With `cuda`, a machine on which `nvidia-smi` does not
    answer still counts as a GPU machine, of unknown name and no known memory.
    """
    if wanted == "cpu":
        return _processor()
    gpu = _first_gpu()
    if gpu is not None:
        return gpu
    return _processor() if wanted == "auto" else Device("unknown GPU", 0, has_cuda=True)


def _first_gpu() -> Device | None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return None
    command = ["nvidia-smi", QUERY, "--format=csv,noheader,nounits"]
    if visible is not None:
        command.append(f"--id={visible.split(',')[0].strip()}")
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_gpu(answer)


def parse_gpu(answer: str) -> Device | None:
    """The first GPU of an answer of `nvidia-smi`, one line `name, mebibytes` for each."""
    name, _, memory = answer.strip().partition("\n")[0].rpartition(", ")
    if not name or not memory.strip().isdigit():
        return None
    return Device(name.strip(), int(memory) * MEBIBYTE, has_cuda=True)


def _processor() -> Device:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Device("cpu", pages * page_bytes, has_cuda=False)
