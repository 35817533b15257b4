"""The device of a run: choice, memory cap, what it calls itself."""

import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Literal

import torch
import torch.distributed as dist

from core.errors import DeviceUnavailable, OutOfMemory
from core.schema.result import DataIdentity, Provenance
from core.version import code_commit

PACKAGES = ("torch", "numpy", "tokenizers", "triton", "pyarrow", "datasets")


def select_device(name: Literal["auto", "cpu", "cuda"], index: int = 0) -> torch.device:
    """The device of that name; of several CUDA devices the one with that index.

    Raises:
        DeviceUnavailable: `cuda` was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable(
            "'cuda' was asked for, and PyTorch finds no CUDA device on this machine; check the "
            "driver and that this PyTorch was built for CUDA, or use 'cpu' or 'auto'."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device("cuda", index) if name == "cuda" else torch.device(name)


def device_name(device: torch.device) -> str:
    """GPU model, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def cap_memory(device: torch.device, cap_bytes: int | None) -> int | None:
    """Let the process use at most `cap_bytes` of a CUDA device; return the cap in force."""
    if device.type != "cuda" or cap_bytes is None:
        return None
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, cap_bytes / total), device)
    return min(cap_bytes, total)


def peak_memory_bytes(device: torch.device) -> int:
    """Largest memory allocated on the device; on a processor, of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error is for want of memory; not all of them have a class of their own.

    An error while a step is recorded makes ending the record fail too, with that error before it.
    """
    signs = ("DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    if isinstance(error, torch.OutOfMemoryError):
        return True
    if isinstance(error.__context__, RuntimeError) and _is_out_of_memory(error.__context__):
        return True
    in_exchange = isinstance(error, dist.DistBackendError) and "out of memory" in str(error)
    return in_exchange or any(sign in str(error) for sign in signs)


@contextmanager
def out_of_memory_named(cap_bytes: int | None) -> Iterator[None]:
    """Turn the device's out-of-memory error into `OutOfMemory`."""
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        cap = f" under the cap of {cap_bytes / 1024**3:.1f} GiB" if cap_bytes else ""
        first_line = str(error).splitlines()[0]
        raise OutOfMemory(f"the device ran out of memory{cap}: {first_line}") from error


def provenance(
    device: torch.device,
    compiled: bool,
    cap_bytes: int | None,
    data: DataIdentity,
    num_devices: int = 1,
    is_mirror: bool = False,
) -> Provenance:
    """Describe code, packages, machine and data of this run."""
    return Provenance(
        code_commit=code_commit(),
        packages={name: version for name in PACKAGES if (version := package_version(name))},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        device=device_name(device),
        num_devices=num_devices,
        driver=driver_version(device),
        compiled=compiled,
        memory_cap_bytes=cap_bytes,
        data=data,
        is_mirror=is_mirror,
    )


def package_version(name: str) -> str | None:
    """Version of an installed package; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def driver_version(device: torch.device) -> str:
    """GPU driver version; empty on a processor."""
    if device.type != "cuda":
        return ""
    try:
        completed = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return completed.stdout.splitlines()[0].strip()
