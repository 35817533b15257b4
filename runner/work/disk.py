"""Whether this machine has room for a run's files."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

MIN_FREE_BYTES = 256 * 1024**2
"""With less, a run would most likely end half way."""


def disk_shortage(folders: Sequence[Path]) -> str | None:
    """Why no run should be begun now, for the owner of the machine; None if nothing speaks
    against it."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder) as file:
                file.write(b"\0")
                file.flush()
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return f"no file can be written to {folder} ({error.strerror or error})"
        if free < MIN_FREE_BYTES:
            return f"{folder} has {free / 1024**2:.0f} MiB free, and a run needs 256 MiB"
    return None
