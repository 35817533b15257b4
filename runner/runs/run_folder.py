"""The files of one run; worker and training process meet in them."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from core.schema.base import Message
from core.schema.job import Phase, RunSpec
from core.schema.metric_point import MetricPoint
from core.schema.result import Anchor, FailureKind, RunResult
from core.train.environment import RunEnvironment
from runner.errors import DamagedFolder, FolderInUse, NotFound, OtherRun

Model = TypeVar("Model", bound=BaseModel)
ENVIRONMENT = TypeAdapter(RunEnvironment)
LOCK_POLL_SECONDS = 0.2
MAX_FAILURE_CHARACTERS = 10_000
MAX_METRIC_LINE_BYTES = 1024
MAX_LOG_LINE_BYTES = 400


class Progress(Message):
    """How far a run is."""

    phase: Phase
    """What it is doing."""
    completed: int = Field(ge=0)
    """Units of the phase that are done."""
    total: int = Field(ge=0)
    """Units of the phase; 0 if unknown."""


STARTING = Progress(phase=Phase.PREPARING_DATA, completed=0, total=0)


class Failure(Message):
    """Why a run ended without a result."""

    kind: FailureKind
    """Class of the failure."""
    message: str = Field(max_length=MAX_FAILURE_CHARACTERS)
    """What happened, for the author."""


class RunFolder:
    """Reads and writes the files of a run.

    Whole files are replaced in one step, so a reader sees the old or the new one;
    `metrics.jsonl` and `log.txt` only grow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "log.txt"
        self.result_path = path / "result.json"
        self.spool_path = path / "spool.json"
        self._spec_path = path / "spec.json"
        self._environment_path = path / "environment.json"
        self._phase_path = path / "phase.json"
        self._failure_path = path / "failure.json"
        self._anchor_path = path / "anchor.json"

    def prepare(self, spec: RunSpec, environment: RunEnvironment) -> None:
        """Make the folder ready for a first or a further attempt at a run.

        Raises:
            OtherRun: the folder holds a run with another config or seed.
            DamagedFolder: its `spec.json` cannot be read.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self._spec_path.exists() and not self.spec().is_same_run(spec):
            raise OtherRun(
                f"{self.path} holds another run, of track {self.spec().track} with seed "
                f"{self.spec().seed}. Name another folder, or delete this one."
            )
        replace_file(self._spec_path, spec.model_dump_json(indent=2))
        replace_file(self._environment_path, ENVIRONMENT.dump_json(environment).decode())
        self._phase_path.unlink(missing_ok=True)
        self._failure_path.unlink(missing_ok=True)
        self._anchor_path.unlink(missing_ok=True)

    def set_aside_if_damaged(self) -> Path | None:
        """Rename a folder that no run can go on in; its new path, or None if it is whole."""
        try:
            if self._spec_path.exists():
                self.spec()
            self.result()
        except DamagedFolder:
            kept = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
            return self.path.rename(kept)
        return None

    def spec(self) -> RunSpec:
        """What is trained."""
        return self._need(self._spec_path, RunSpec)

    def environment(self) -> RunEnvironment:
        """Where it is trained."""
        with _damage_named(self._environment_path):
            return ENVIRONMENT.validate_json(_text(self._environment_path))

    def progress(self) -> Progress:
        """How far the run is."""
        return self._read(self._phase_path, Progress) or STARTING

    def write_progress(self, progress: Progress) -> None:
        """Replace the run's progress; not synchronised to the disk."""
        replace_file(self._phase_path, progress.model_dump_json(), durable=False)

    def result(self) -> RunResult | None:
        """The outcome, once there is one."""
        return self._read(self.result_path, RunResult)

    def write_result(self, result: RunResult) -> None:
        """Store the outcome."""
        replace_file(self.result_path, result.model_dump_json(indent=2))

    def failure(self) -> Failure | None:
        """Why the latest attempt failed, if it did."""
        return self._read(self._failure_path, Failure)

    def write_failure(self, kind: FailureKind, message: str) -> None:
        """Store why this attempt failed."""
        failure = Failure(kind=kind, message=message[:MAX_FAILURE_CHARACTERS])
        replace_file(self._failure_path, failure.model_dump_json(indent=2))

    def anchor(self) -> Anchor | None:
        """The baseline's speed for this attempt, if it was measured."""
        return self._read(self._anchor_path, Anchor)

    def write_anchor(self, anchor: Anchor) -> None:
        """Store the baseline's speed."""
        replace_file(self._anchor_path, anchor.model_dump_json(indent=2))

    def metrics(self) -> list[MetricPoint]:
        """One point for each measured step, in order; the latest where a step stands twice."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text().splitlines(keepends=True)
        complete = [line for line in lines if line.endswith("\n")]
        with _damage_named(self.metrics_path):
            points = {p.step: p for p in map(MetricPoint.model_validate_json, complete)}
        return [points[step] for step in sorted(points)]

    def latest_metric(self) -> MetricPoint | None:
        """The last point that was written."""
        lines = tail_lines(self.metrics_path, MAX_METRIC_LINE_BYTES * 2)
        complete = [line for line in lines if line.startswith("{") and line.endswith("}")]
        return MetricPoint.model_validate_json(complete[-1]) if complete else None

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the log."""
        return tail_lines(self.log_path, MAX_LOG_LINE_BYTES * lines)[-lines:]

    def add_to_log(self, message: str) -> None:
        """Append a line to the log, in the form of those that training writes."""
        now = datetime.now()
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03} INFO {message}\n")

    def remove_checkpoints(self) -> None:
        """Delete whole and unfinished checkpoints; everything else stays."""
        for pattern in ("checkpoint-*", ".checkpoint-*"):
            for path in self.path.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def lock(self, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the folder, so that no run is trained twice at once.

        Raises:
            FolderInUse: another process holds it for longer than `wait_seconds`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + wait_seconds
        with (self.path / "lock").open("w") as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() >= deadline:
                    raise FolderInUse(f"Another process is training in {self.path}.")
                time.sleep(LOCK_POLL_SECONDS)
            yield

    def _need(self, path: Path, model: type[Model]) -> Model:
        with _damage_named(path):
            return model.model_validate_json(_text(path))

    def _read(self, path: Path, model: type[Model]) -> Model | None:
        try:
            with _damage_named(path):
                return model.model_validate_json(path.read_text())
        except FileNotFoundError:
            return None


def tail_lines(path: Path, max_bytes: int) -> list[str]:
    """Lines in the last bytes of a text file; the first may be cut, and none without a file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - max_bytes))
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def replace_file(path: Path, text: str, durable: bool = True) -> None:
    """Write a file in one step: a reader, or a crash, meets the old or the new one."""
    # Several processes of one run may fail at once.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        # On a full disk, half a file is in the way of everything else.
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what does not follow its schema into DamagedFolder."""
    try:
        yield
    except ValidationError as error:
        raise DamagedFolder(
            f"{path} is damaged, or another version of the project wrote it. "
            "Delete its folder, or name another one."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"{path.parent} is not a run folder: it has no {path.name}.") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
