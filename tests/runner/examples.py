"""Small valid objects that the tests of runner share."""

from datetime import UTC, datetime
from pathlib import Path

from core.schema.job import RunSpec, RunStatus
from core.schema.metric_point import MetricPoint
from core.schema.mirror import Mirror
from core.schema.result import Anchor, DataIdentity, Provenance, RunResult, TaskScore, Timing
from core.tracks import load_tracks
from core.train.environment import RunEnvironment

ZEROS = "0" * 64


def metric(step: int, train_loss: float = 3.0, val_loss: float | None = None) -> MetricPoint:
    return MetricPoint(
        step=step,
        tokens=step * 2048,
        train_seconds=step * 0.5,
        train_loss=train_loss,
        learning_rate=0.01,
        adamw_learning_rate=0.001,
        gradient_norm=1.0,
        tokens_per_second=4096.0,
        val_loss=val_loss,
    )


def result(val_loss: float = 2.0, train_hash: str = ZEROS) -> RunResult:
    return RunResult(
        seed=1000,
        steps=250,
        tokens=512_000,
        stopped_early=False,
        val_loss=val_loss,
        val_accuracy=0.4,
        val_bpb=1.0,
        tasks=(TaskScore(name="synthetic_world", num_questions=101, acc=0.5, acc_norm=0.5),),
        timing=Timing(data_seconds=1, compile_seconds=10, train_seconds=90, eval_seconds=5),
        tokens_per_second=5000.0,
        peak_memory_bytes=2 * 1024**3,
        num_parameters=1_000_000,
        provenance=Provenance(
            code_commit="abc",
            packages={"torch": "2.11.0"},
            python="3.11",
            platform="Linux",
            device="cpu",
            driver="",
            compiled=False,
            data=DataIdentity(
                tokenizer_hash=ZEROS,
                train_hash=train_hash,
                train_tokens=1,
                validation_hash=ZEROS,
                validation_tokens=1,
                validation_bytes=1,
                evaluation_hash=ZEROS,
            ),
        ),
    )


def anchor(tokens_per_second: float = 4000.0) -> Anchor:
    """An anchor of the machine and code that `result` came from."""
    return Anchor(
        tokens_per_second=tokens_per_second,
        device="cpu",
        driver="",
        torch="2.11.0",
        code_commit="abc",
        measured_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )


def spec(run_id: str = "r_1", seed: int = 1000) -> RunSpec:
    track = load_tracks()["debug"]
    return RunSpec(
        run_id=run_id,
        track="debug",
        track_version=1,
        experiment=track.base,
        seed=seed,
        budget=track.rules.budget,
        prices_usd_per_hour=track.rules.prices_usd_per_hour,
    )


def environment(cache: Path) -> RunEnvironment:
    return RunEnvironment(cache_directory=cache, mirror=Mirror(), device="cpu")


def status(**changes: object) -> RunStatus:
    """A queued run."""
    values = {
        "run_id": "r_1",
        "submission_id": "s_1",
        "name": "Mine",
        "track": "debug",
        "seed": 1000,
        "state": "queued",
        "attempt": 0,
        "jobs_ahead": None,
        "phase": None,
        "completed": 0,
        "total": 0,
        "latest": None,
        "result": None,
        "cost_usd": None,
        "failure": None,
        "failure_message": "",
        "created_at": "2026-01-01T00:00:00Z",
        "url": "http://server/submissions/s_1",
    }
    return RunStatus.model_validate({**values, **changes})


def verdict(**changes: object) -> dict[str, object]:
    """What a server says of an experiment of three runs that is better."""
    values = {
        "verdict": "better",
        "delta": -0.0123,
        "low": -0.02,
        "high": -0.0046,
        "num_runs": 3,
        "num_baseline_runs": 5,
        "further_runs": 0,
        "next_look": 5,
        "is_record": False,
        "refuted": "",
    }
    return {**values, **changes}


class SilentDisplay:
    """Shows nothing, and keeps what it was told."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.views: list[object] = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> None:
        pass

    def update(self, view) -> None:
        self.views.append(view)

    def finish(self, key: str, outcome: str) -> None:
        self.finished.append(outcome)
