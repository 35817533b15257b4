"""Small valid objects that the tests of runner share."""

from pathlib import Path

from core.schema.job import RunSpec
from core.schema.mirror import Mirror
from core.schema.result import DataIdentity, MetricPoint, Provenance, RunResult, TaskScore, Timing
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
            packages={},
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
