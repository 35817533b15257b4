"""Child processes of the speed benchmark, with compiler caches of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from benchmarks.measurement import Answer, Figures, Request, Work

ROOT = Path(__file__).resolve().parent.parent
LOG_LINES = 15


class ChildFailed(Exception):
    """A measurement ended without figures; the message is the last line of its log."""


class Child:
    """A measurement that is going on; leaving the block ends it."""

    def __init__(self, work: Work, folder: Path, caches: Path) -> None:
        """Start it.

        Args:
            folder: new folder for its request, log and answer.
            caches: folder of the compilers' caches, empty before the first child.
        """
        folder.mkdir()
        request, self._answer = folder / "request.json", folder / "answer.json"
        self._log = folder / "log.txt"
        self._started = time.monotonic()
        request.write_text(Request(work=work).model_dump_json())
        own = {
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            "TRITON_CACHE_DIR": str(caches / "triton"),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.speed_child", str(request), str(self._answer)],
                cwd=ROOT,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def seconds(self) -> float:
        """Time since its start."""
        return time.monotonic() - self._started

    def figures(self, limit_seconds: float) -> Figures:
        """Wait for what it measures.

        Raises:
            ChildFailed: it failed, or ran for longer than the limit since its start.
        """
        try:
            status = self._process.wait(max(0.0, limit_seconds - self.seconds))
        except subprocess.TimeoutExpired as error:
            raise ChildFailed(f"no answer after {limit_seconds:.0f} s") from error
        if status != 0:
            raise ChildFailed(self.log_tail()[-1])
        try:
            return Answer.model_validate_json(self._answer.read_text()).figures
        except (OSError, ValidationError) as error:
            raise ChildFailed(f"no readable answer: {error}") from error

    def log_tail(self) -> list[str]:
        """The last lines that it wrote; at least one."""
        lines = self._log.read_text(errors="replace").splitlines()
        written = [line for line in lines if line.strip()]
        return written[-LOG_LINES:] or [f"ended with status {self._process.returncode}"]
