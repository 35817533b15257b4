"""One measurement of the speed benchmark, in a process of its own.

`python -m benchmarks.speed_child REQUEST ANSWER` reads a request and writes the answer, both JSON.
Shape suffixes: N rows and columns of a square matrix.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.measurement import (
    Answer,
    Computation,
    DataRequest,
    Figures,
    MachineFigures,
    MachineRequest,
    ProcessorRequest,
    RateFigures,
    Request,
    RunFigures,
    RunRequest,
    Work,
)
from benchmarks.processor_reference import processor_reference
from core.data.packing import BATCH_DOCUMENTS, prepare
from core.data.sources import documents
from core.data.tokenizer import load_tokenizer
from core.estimate.flops import training_flops_per_token
from core.kernels.grouped_matmul import Backend
from core.kernels.selection import is_fused, reference_path
from core.schema.job import RunSpec
from core.schema.overrides import resolve
from core.schema.result import RunResult
from core.tracks import load_tracks
from core.train.device import device_name, select_device
from core.train.environment import RunEnvironment
from core.train.reporter import SilentReporter
from core.train.run import run
from core.train.trainer import Trainer
from runner.runs.mirror_file import read_mirror

MATMUL_REPETITIONS = 100
PROCESSOR_THREADS = 2


def measure(work: Work) -> Figures:
    """Do what a request asks for."""
    if isinstance(work, MachineRequest):
        return measure_machine(work)
    if isinstance(work, RunRequest):
        return measure_run(work)
    if isinstance(work, DataRequest):
        return measure_data(work)
    return measure_processor(work)


def measure_machine(request: MachineRequest) -> MachineFigures:
    """Median rate of products of random matrices, bfloat16 on CUDA and float32 elsewhere."""
    device = select_device("auto")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    # Random, because a GPU that multiplies zeros draws less power and is clocked higher.
    a_NN, b_NN = (
        torch.randn(request.size, request.size, device=device).to(dtype) for _ in range(2)
    )
    seconds = _seconds(lambda: a_NN @ b_NN, device)
    return MachineFigures(
        device=device_name(device),
        torch=torch.__version__,
        flops_per_second=2 * request.size**3 / statistics.median(seconds),
    )


def _seconds(product: Callable[[], Tensor], device: torch.device) -> list[float]:
    """Seconds of each of some calls, by the device's own clock where it has one."""
    for _ in range(MATMUL_REPETITIONS // 4):
        product()
    if device.type != "cuda":
        times = [time.perf_counter()]
        for _ in range(MATMUL_REPETITIONS):
            product()
            times.append(time.perf_counter())
        return [after - before for before, after in pairwise(times)]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(MATMUL_REPETITIONS + 1)]
    events[0].record()
    for event in events[1:]:
        product()
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1000 for before, after in pairwise(events)]


def measure_run(request: RunRequest) -> RunFigures:
    """Train and evaluate once, as a worker does."""
    environment = RunEnvironment(
        cache_directory=request.cache_directory,
        mirror=read_mirror(request.mirror),
        device=request.device,
    )
    spec = _spec(request)
    with TemporaryDirectory() as folder, _computing(request.computation):
        result = run(spec, Path(folder), environment, SilentReporter())
    return _figures(spec, result)


def _spec(request: RunRequest) -> RunSpec:
    track = load_tracks()[request.track]
    budget = track.rules.budget
    if request.computation == "reference":
        # The plain way may need more memory than the track allows.
        budget = budget.model_copy(update={"memory_gib": None})
    return RunSpec(
        run_id="benchmark",
        track=request.track,
        track_version=track.rules.version,
        seed=request.seed,
        experiment=resolve(track.base, request.overrides),
        budget=budget,
        prices_usd_per_hour=track.rules.prices_usd_per_hour,
    )


def _figures(spec: RunSpec, result: RunResult) -> RunFigures:
    experiment = spec.experiment
    length = experiment.training.sequence_length
    return RunFigures(
        steps=result.steps,
        tokens_per_second=result.tokens_per_second,
        flops_per_token=training_flops_per_token(experiment.model, length),
        peak_memory_bytes=result.peak_memory_bytes,
        compile_seconds=result.timing.compile_seconds,
        train_seconds=result.timing.train_seconds,
        eval_seconds=result.timing.eval_seconds,
        validation_tokens=result.provenance.data.validation_tokens,
        num_questions=sum(task.num_questions for task in result.tasks),
        val_loss=result.val_loss,
    )


def _computing(computation: Computation) -> AbstractContextManager[None]:
    if computation == "fast":
        return nullcontext()
    return _eager_reference() if computation == "reference" else _triton_forced()


@contextmanager
def _eager_reference() -> Iterator[None]:
    """Plain PyTorch operations, one after another: nothing compiled, nothing recorded."""

    def eager_trainer(**arguments: Any) -> Trainer:
        return Trainer(**{**arguments, "is_compiled": False})

    with reference_path(), patch("core.train.run.Trainer", eager_trainer):
        yield


@contextmanager
def _triton_forced() -> Iterator[None]:
    """The grouped product of GPUs for which PyTorch has none, wherever kernels of ours run."""

    def backend(x_NI: Tensor, weight_EOI: Tensor) -> Backend:
        return "triton" if is_fused(x_NI) else "loop"

    with patch("core.kernels.grouped_matmul.backend", backend):
        yield


def measure_data(request: DataRequest) -> RateFigures:
    """Tokens a second from documents to token files, and of the library's `encode_batch`.

    Ours reads the documents, which the other gets in memory, and writes and hashes the tokens.
    """
    data = load_tracks()[request.track].base.data
    if request.num_documents is not None:
        data = data.model_copy(update={"num_documents": request.num_documents})
    mirror = read_mirror(request.mirror)
    texts = list(documents(data, mirror))
    # The library's own object: ours adds a conversion to plain lists.
    library = load_tokenizer(data.tokenizer, data.separator, mirror)._tokenizer
    started = time.perf_counter()
    num_tokens = 0
    for start in range(0, len(texts), BATCH_DOCUMENTS):
        batch = texts[start : start + BATCH_DOCUMENTS]
        num_tokens += sum(map(len, library.encode_batch(batch, add_special_tokens=False)))
    library_seconds = time.perf_counter() - started
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        prepare(data, mirror, Path(folder), lambda *_: None)
        seconds = time.perf_counter() - started
    return RateFigures(
        tokens_per_second=num_tokens / seconds,
        reference_tokens_per_second=num_tokens / library_seconds,
    )


def measure_processor(request: ProcessorRequest) -> RateFigures:
    """Best training speed of `debug` on two threads, as it runs and by the plain reference.

    They take turns, so that what else the machine does slows both.
    """
    torch.set_num_threads(PROCESSOR_THREADS)
    work = RunRequest(
        track="debug",
        overrides={
            "training.tokens": 0,
            "training.steps": request.steps,
            "evaluation.tasks": [],
            "evaluation.validation_rows": 8,
            "evaluation.interval_steps": request.steps,
        },
        seed=1000,
        computation="fast",
        mirror=None,
        cache_directory=request.cache_directory,
        device="auto",
    )
    environment = RunEnvironment(request.cache_directory, read_mirror(None), "cpu")
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * request.rounds):
        is_plain = turn % 2 == 1
        plain = processor_reference() if is_plain else nullcontext()
        with TemporaryDirectory() as folder, plain:
            result = run(_spec(work), Path(folder), environment, SilentReporter())
        rates[is_plain].append(result.tokens_per_second)
    return RateFigures(
        tokens_per_second=max(rates[False]), reference_tokens_per_second=max(rates[True])
    )


if __name__ == "__main__":
    request_file, answer_file = map(Path, sys.argv[1:])
    asked = Request.model_validate_json(request_file.read_text())
    answer_file.write_text(Answer(figures=measure(asked.work)).model_dump_json())
