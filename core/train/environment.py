"""Where a run takes place: never part of an experiment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.schema.mirror import Mirror


@dataclass(frozen=True)
class RunEnvironment:
    """Folders, device and data of the machine that trains."""

    cache_directory: Path
    """Token files, kept between runs."""
    mirror: Mirror
    """Local stand-ins for data sets of the hub."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is a CUDA device where there is one."""
