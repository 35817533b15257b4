"""One run: job in, result out."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.data.loader import RowLoader
from core.errors import CheckpointNotWritten, Interrupted
from core.schema.job import RunSpec
from core.schema.result import RunResult, Timing
from core.schema.track import GIB
from core.train.budget import CostMeter, build_pace
from core.train.checkpoint import (
    drop_older_checkpoints,
    load_newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from core.train.checkpoint_folder import checkpoint_folder
from core.train.clock import Clock
from core.train.device import (
    cap_memory,
    device_name,
    out_of_memory_named,
    peak_memory_bytes,
    provenance,
    select_device,
)
from core.train.distributed import AgreedReporter, Processes, joined, local_rank
from core.train.environment import RunEnvironment
from core.train.measurement import (
    Measurement,
    open_data,
    reads_mirror,
    require_expected,
    score_tasks,
)
from core.train.reporter import Reporter
from core.train.trainer import Trainer
from core.version import code_commit

CHECKPOINT_SECONDS = 60.0
"""Least time between two checkpoints."""

logger = logging.getLogger(__name__)


def run(
    spec: RunSpec, directory: Path, environment: RunEnvironment, reporter: Reporter
) -> RunResult:
    """Train and evaluate an experiment with one seed, in every process that torchrun started.

    Goes on from the newest checkpoint of the same run in `directory`, and leaves there a
    checkpoint of the trained model.

    Raises:
        InvalidInput: the config does not fit the data, such as too few tokens, or the number of
            processes.
        DataUnavailable: the corpus, the tokenizer or a task cannot be read.
        Diverged: the loss is no longer finite.
        OutOfMemory: the device or the track's cap is too small.
        BudgetExceeded: the run costs more than the track allows, or compiling alone costs all
            that it may.
        Interrupted: the reporter asked to stop; what was done is kept.
    """
    # Asked once and kept: what runs is the code of now, whatever is checked out meanwhile.
    code_commit()
    device = select_device(environment.device, local_rank())
    memory_gib = spec.budget.memory_gib
    cap_bytes = cap_memory(device, round(memory_gib * GIB) if memory_gib else None)
    with out_of_memory_named(cap_bytes), joined(device, spec.sharding) as processes:
        clock = Clock(device, processes.agree)
        with clock.measure("data"), processes.main_first():
            measurement = open_data(spec.experiment, environment, reporter)
        is_mirror = reads_mirror(spec.experiment, environment)
        require_expected(measurement.identity, spec.expected_data, is_mirror)
        agreed = AgreedReporter(reporter, processes)
        is_compiled = device.type == "cuda"
        trainer = _trainer(spec, measurement, device, is_compiled, clock, agreed, processes)
        trainer.warm_up()
        resumed_step = _resume(spec, directory, trainer, processes)
        trainer.train(_chunk_end(spec, directory, agreed, trainer, clock, device, processes))
        if resumed_step < trainer.step:
            _save(spec, directory, trainer, processes)
        if processes.is_main:
            drop_older_checkpoints(directory)
        score = trainer.validate()
        with clock.measure("eval"), trainer.evaluated_weights():
            tasks = score_tasks(
                trainer.scorer(many_shapes=True), spec.experiment, measurement, device, agreed
            )
        peak_bytes = round(processes.largest(peak_memory_bytes(device)))
    return RunResult(
        seed=spec.seed,
        steps=trainer.step,
        tokens=trainer.tokens,
        stopped_early=trainer.stopped_early,
        val_loss=score.loss,
        val_accuracy=score.accuracy,
        val_bpb=score.bits_per_byte,
        tasks=tasks,
        timing=Timing(**{f"{part}_seconds": time for part, time in clock.seconds.items()}),
        tokens_per_second=trainer.tokens / clock.seconds["train"],
        peak_memory_bytes=peak_bytes,
        num_parameters=sum(p.numel() for p in trainer.model.parameters()),
        provenance=provenance(
            device, is_compiled, cap_bytes, measurement.identity, processes.size, is_mirror
        ),
    )


def _trainer(
    spec: RunSpec,
    measurement: Measurement,
    device: torch.device,
    is_compiled: bool,
    clock: Clock,
    reporter: Reporter,
    processes: Processes,
) -> Trainer:
    return Trainer(
        experiment=spec.experiment,
        seed=spec.seed,
        separator_id=measurement.corpus.tokenizer.separator_id,
        loader=RowLoader(measurement.corpus.train, spec.experiment.training, spec.seed),
        validation=measurement.validation,
        pace=build_pace(spec, device_name(device), clock, processes.size),
        device=device,
        is_compiled=is_compiled,
        clock=clock,
        reporter=reporter,
        processes=processes,
    )


def _resume(spec: RunSpec, directory: Path, trainer: Trainer, processes: Processes) -> int:
    """Go on from the newest checkpoint that the first process finds; return its step, or 0."""
    checkpoint = load_newest_checkpoint(directory, spec) if processes.is_main else None
    step = round(processes.agree(checkpoint.step if checkpoint else 0))
    if step and checkpoint is None:
        checkpoint = read_checkpoint(checkpoint_folder(directory, step))
    if checkpoint is not None:
        trainer.resume(checkpoint)
        logger.info("going on from the checkpoint after step %d", step)
    return step


def _save(spec: RunSpec, directory: Path, trainer: Trainer, processes: Processes) -> None:
    """Keep the state, if the disk takes it; a run does not end because it might be repeated."""
    checkpoint = trainer.checkpoint()
    if processes.is_main:
        try:
            save_checkpoint(directory, spec, checkpoint)
        except CheckpointNotWritten as error:
            logger.warning("training goes on without a new checkpoint: %s", error)


def _chunk_end(
    spec: RunSpec,
    directory: Path,
    reporter: AgreedReporter,
    trainer: Trainer,
    clock: Clock,
    device: torch.device,
    processes: Processes,
) -> Callable[[], None]:
    """What happens between chunks of steps: the price, a checkpoint, a request to stop."""
    meter = CostMeter(spec, device_name(device), clock, processes.size)
    last_saved = time.monotonic()

    def chunk_end() -> None:
        nonlocal last_saved
        meter.check()
        stop = reporter.should_stop() and not trainer.finished
        if stop or processes.agree(time.monotonic() - last_saved) >= CHECKPOINT_SECONDS:
            _save(spec, directory, trainer, processes)
            last_saved = time.monotonic()
        if stop:
            total = trainer.expected_steps
            raise Interrupted(f"stopped after step {trainer.step} of {total}")

    return chunk_end
