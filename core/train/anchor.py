"""The anchor: the speed of a track's baseline on this machine, measured in a few seconds.

Seconds of two machines say nothing about two configs. The ratio of a run's speed to that of the
baseline on the same worker, in the same session, does.
"""

import statistics
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import torch

from core.data.loader import RowLoader
from core.schema.experiment import ExperimentConfig
from core.schema.job import RunSpec
from core.schema.overrides import resolve
from core.schema.result import Anchor
from core.schema.track import GIB
from core.train.clock import Clock
from core.train.device import (
    cap_memory,
    device_name,
    driver_version,
    out_of_memory_named,
    package_version,
    select_device,
)
from core.train.distributed import Processes, joined, local_rank
from core.train.environment import RunEnvironment
from core.train.pace import FixedPace
from core.train.reporter import SilentReporter
from core.train.trainer import Trainer, Validation
from core.training_plan import plan
from core.version import code_commit

MAX_STEPS = 400
SETTLE_SECONDS = 1.0
"""Steps at the start that are not counted: clocks rise, and caches fill."""
TIMED_SECONDS = 4.0
SEPARATOR_ID = 0


class _Enough(Exception):
    """Enough steps were timed."""


def measure_anchor(spec: RunSpec, environment: RunEnvironment) -> Anchor:
    """Train a run's baseline for a few seconds, in every process that torchrun started.

    It goes through the same loop and under the same clock as a run, on made-up tokens, so that
    it needs no data and leaves a run's `data_seconds` alone. Where the baseline has stages, its
    first one is measured. The speed is the median over chunks of steps: a hiccup in a few
    seconds would shift every ratio of the session, while a whole run averages it out.

    It leaves compiled code and memory behind: call it in a process of its own.

    Args:
        spec: of the run; its `anchor` is trained.

    Raises:
        OutOfMemory: the device or the track's cap is too small.
        DeviceUnavailable: there is no such device.
    """
    assert spec.anchor is not None
    device = select_device(environment.device, local_rank())
    memory_gib = spec.budget.memory_gib
    cap_bytes = cap_memory(device, round(memory_gib * GIB) if memory_gib else None)
    with out_of_memory_named(cap_bytes), joined(device, spec.sharding) as processes:
        clock = Clock(device, processes.agree)
        trainer = _trainer(_briefly(spec.anchor), spec.seed, device, clock, processes)
        trainer.warm_up()
        speed = _speed(trainer, clock)
    return Anchor(
        tokens_per_second=speed,
        device=device_name(device),
        num_devices=processes.size,
        driver=driver_version(device),
        torch=package_version("torch") or "unknown",
        code_commit=code_commit(),
        measured_at=datetime.now(UTC),
    )


def _briefly(baseline: ExperimentConfig) -> ExperimentConfig:
    """The baseline with few steps, and no validation between them."""
    budget = {"training.tokens": 0, "training.dollars": 0.0, "training.steps": MAX_STEPS}
    return resolve(baseline, {**budget, "evaluation.interval_steps": MAX_STEPS})


def _trainer(
    experiment: ExperimentConfig,
    seed: int,
    device: torch.device,
    clock: Clock,
    processes: Processes,
) -> Trainer:
    """A trainer as a run has, with made-up tokens and a single row to validate."""
    random = np.random.default_rng(seed)
    vocab_size, row_length = experiment.model.vocab_size, experiment.training.row_length
    num_rows = -(-plan(experiment.training).num_tokens // row_length)
    tokens = random.integers(vocab_size, size=num_rows * row_length, dtype=np.uint32)
    row_RT = tokens[: experiment.evaluation.sequence_length][None]
    return Trainer(
        experiment=experiment,
        seed=seed,
        separator_id=SEPARATOR_ID,
        loader=RowLoader(tokens, experiment.training, seed),
        validation=Validation(row_RT, num_bytes=1),
        pace=FixedPace(experiment.training),
        device=device,
        is_compiled=device.type == "cuda",
        clock=clock,
        reporter=SilentReporter(),
        processes=processes,
    )


def _speed(trainer: Trainer, clock: Clock) -> float:
    """Tokens per second: the median over the chunks of steps that begin after settling."""
    marks = [(0, 0.0)]

    def after_chunk() -> None:
        marks.append((trainer.tokens, clock.seconds["train"]))
        if clock.seconds["train"] >= SETTLE_SECONDS + TIMED_SECONDS:
            raise _Enough

    with suppress(_Enough):
        trainer.train(after_chunk)
    return median_speed(marks)


def median_speed(marks: list[tuple[int, float]]) -> float:
    """Median speed of the chunks between (tokens, seconds) that begin after settling.

    Where steps are so slow, or so few, that none does, the last chunk alone counts.
    """
    speeds = [
        (started, (tokens_after - tokens) / (ended - started))
        for (tokens, started), (tokens_after, ended) in pairwise(marks)
    ]
    settled = [speed for started, speed in speeds if started >= SETTLE_SECONDS]
    return statistics.median(settled or [speeds[-1][1]])
