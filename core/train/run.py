"""One run: job in, result out."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.data.loader import RowLoader
from core.errors import Interrupted
from core.schema.job import RunSpec
from core.schema.result import RunResult, Timing
from core.schema.track import GIB
from core.train.budget import CostMeter
from core.train.checkpoint import load_newest_checkpoint, save_checkpoint
from core.train.clock import Clock
from core.train.device import (
    cap_memory,
    device_name,
    out_of_memory_named,
    peak_memory_bytes,
    provenance,
    select_device,
)
from core.train.environment import RunEnvironment
from core.train.measurement import Measurement, open_data, score_tasks
from core.train.reporter import Reporter
from core.train.trainer import Trainer
from core.version import code_commit

CHECKPOINT_SECONDS = 60.0
"""Least time between two checkpoints."""


def run(
    spec: RunSpec, directory: Path, environment: RunEnvironment, reporter: Reporter
) -> RunResult:
    """Train and evaluate an experiment with one seed.

    Goes on from the newest checkpoint of the same run in `directory`, and leaves there a
    checkpoint of the trained model.

    Raises:
        InvalidInput: the config does not fit the data, such as too few tokens.
        DataUnavailable: the corpus, the tokenizer or a task cannot be read.
        Diverged: the loss is no longer finite.
        OutOfMemory: the device or the track's cap is too small.
        BudgetExceeded: the run costs more than the track allows.
        Interrupted: the reporter asked to stop; what was done is kept.
    """
    # Asked once and kept: what runs is the code of now, whatever is checked out meanwhile.
    code_commit()
    device = select_device(environment.device)
    memory_gib = spec.budget.memory_gib
    cap_bytes = cap_memory(device, round(memory_gib * GIB) if memory_gib else None)
    clock = Clock(device)
    with out_of_memory_named(cap_bytes):
        with clock.measure("data"):
            measurement = open_data(spec.experiment, environment, reporter)
        compiled = device.type == "cuda"
        trainer = _trainer(spec, measurement, device, compiled, clock, reporter)
        trainer.warm_up()
        checkpoint = load_newest_checkpoint(directory, spec)
        if checkpoint is not None:
            trainer.resume(checkpoint)
        trainer.train(_chunk_end(spec, directory, reporter, trainer, clock, device))
        if checkpoint is None or checkpoint.step < trainer.step:
            save_checkpoint(directory, spec, trainer.checkpoint())
        score = trainer.validate()
        with clock.measure("eval"):
            tasks = score_tasks(trainer.model, spec.experiment, measurement, device, reporter)
    tokens = trainer.step * spec.experiment.training.tokens_per_step
    return RunResult(
        seed=spec.seed,
        steps=trainer.step,
        tokens=tokens,
        stopped_early=trainer.stopped_early,
        val_loss=score.loss,
        val_accuracy=score.accuracy,
        val_bpb=score.bits_per_byte,
        tasks=tasks,
        timing=Timing(**{f"{part}_seconds": time for part, time in clock.seconds.items()}),
        tokens_per_second=tokens / clock.seconds["train"],
        peak_memory_bytes=peak_memory_bytes(device),
        num_parameters=sum(p.numel() for p in trainer.model.parameters()),
        provenance=provenance(device, compiled, cap_bytes, measurement.identity),
    )


def _trainer(
    spec: RunSpec,
    measurement: Measurement,
    device: torch.device,
    compiled: bool,
    clock: Clock,
    reporter: Reporter,
) -> Trainer:
    return Trainer(
        experiment=spec.experiment,
        seed=spec.seed,
        loader=RowLoader(measurement.corpus.train, spec.experiment.training, spec.seed),
        validation=measurement.validation,
        device=device,
        compiled=compiled,
        clock=clock,
        reporter=reporter,
    )


def _chunk_end(
    spec: RunSpec,
    directory: Path,
    reporter: Reporter,
    trainer: Trainer,
    clock: Clock,
    device: torch.device,
) -> Callable[[], None]:
    """What happens between chunks of steps: the price, a checkpoint, a request to stop."""
    meter = CostMeter(spec, device_name(device), clock)
    last_saved = time.monotonic()

    def chunk_end() -> None:
        nonlocal last_saved
        meter.check()
        stop = reporter.should_stop() and not trainer.finished
        if stop or time.monotonic() - last_saved >= CHECKPOINT_SECONDS:
            save_checkpoint(directory, spec, trainer.checkpoint())
            last_saved = time.monotonic()
        if stop:
            total = spec.experiment.training.num_steps
            raise Interrupted(f"stopped after step {trainer.step} of {total}; a checkpoint is kept")

    return chunk_end
