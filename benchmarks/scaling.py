"""How training gains from a second GPU, on a machine with two.

    python -m benchmarks.scaling FOLDER [CASE ...]

runs all cases, or those whose numbers are named, and keeps each one's log and result in FOLDER.

The reference model trains on one GPU, on two with the whole model on each (DDP), and on two with
a share of each parameter on each (FSDP2); the model of three billion parameters on one and on
two (FSDP2). The reference model then trains again in float32, where all three must see the same
losses: in bfloat16 routers soon choose otherwise. Its learning rates are a twentieth of the
track's, because at those rounding errors grow within a few steps. Tokens are made up, dropout and
router noise are off. Each case takes one to two minutes, most of it compilation.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from core.data.loader import RowLoader
from core.schema.experiment import ExperimentConfig
from core.schema.job import Phase
from core.schema.metric_point import MetricPoint
from core.schema.overrides import resolve
from core.schema.track import Sharding
from core.tracks import load_tracks
from core.train.clock import Clock
from core.train.device import device_name, peak_memory_bytes, select_device
from core.train.distributed import joined, local_rank
from core.train.pace import FixedPace
from core.train.trainer import Trainer, Validation

CASE_SECONDS = 240
GIB = 1024**3
GENTLE_RATES = 0.05
"""Share of the learning rates under which losses are held against each other."""


class Case(NamedTuple):
    """One run."""

    track: str
    """Whose base config is trained."""
    processes: int
    sharding: Sharding
    steps: int
    parts: int
    """Parts of a batch."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    @property
    def name(self) -> str:
        """For the table."""
        method = {"none": "DDP", "full": "FSDP2"}[self.sharding]
        name = f"{self.track} {self.precision}"
        return f"{name}, {self.processes} × {method}" if self.processes > 1 else name


CASES = (
    Case("gpu_24gb", 1, "none", 100, 1),
    Case("h100_3b", 1, "none", 6, 12),
    Case("gpu_24gb", 2, "none", 100, 1),
    Case("gpu_24gb", 2, "full", 100, 1),
    # As many rows at a time on each GPU as on one.
    Case("h100_3b", 2, "full", 6, 6),
    Case("gpu_24gb", 1, "none", 50, 1, "float32"),
    Case("gpu_24gb", 2, "none", 50, 1, "float32"),
    Case("gpu_24gb", 2, "full", 50, 1, "float32"),
)


class Measured(NamedTuple):
    """What a run measured."""

    device: str
    tokens_per_second: float
    compile_seconds: float
    peak_bytes: int
    """Of the device that needed most."""
    losses: list[float]
    """Training loss of each step."""


class LossReporter:
    """Keeps the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Nothing is shown."""

    def metric(self, point: MetricPoint) -> None:
        """Keep the loss of a step."""
        self.losses.append(point.train_loss)

    def should_stop(self) -> bool:
        """Never."""
        return False


def experiment(case: Case) -> ExperimentConfig:
    """The track's base config, without chance and for a few steps."""
    base = load_tracks()[case.track].base
    share = GENTLE_RATES if case.precision == "float32" else 1.0
    return resolve(
        base,
        {
            "optimizer.muon.learning_rate": share * base.optimizer.muon.learning_rate,
            "optimizer.adamw.learning_rate": share * base.optimizer.adamw.learning_rate,
            "model.dropout": 0.0,
            "model.feed_forward.router_noise": 0.0,
            "training.tokens": 0,
            "training.steps": case.steps,
            "training.precision": case.precision,
            "training.gradient_accumulation_steps": case.parts,
            "evaluation.interval_steps": 1_000_000,
        },
    )


def measure(case: Case) -> Measured:
    """Train in this process, which may be one of several."""
    config = experiment(case)
    device = select_device("auto", local_rank())
    with joined(device, case.sharding) as processes:
        clock, reporter = Clock(device, processes.agree), LossReporter()
        num_tokens = case.steps * config.training.batch_size * config.training.row_length
        tokens = made_up_tokens(num_tokens, config.model.vocab_size)
        rows = tokens[: 16 * config.evaluation.sequence_length].reshape(16, -1)
        trainer = Trainer(
            experiment=config,
            seed=1,
            separator_id=0,
            loader=RowLoader(tokens, config.training, 1),
            validation=Validation(rows, 1),
            pace=FixedPace(config.training),
            device=device,
            is_compiled=device.type == "cuda",
            clock=clock,
            reporter=reporter,
            processes=processes,
        )
        trainer.warm_up()
        trainer.train(lambda: None)
        return Measured(
            device_name(device),
            trainer.tokens / clock.seconds["train"],
            clock.seconds["compile"],
            round(processes.largest(peak_memory_bytes(device))),
            reporter.losses,
        )


def made_up_tokens(count: int, vocab_size: int) -> np.ndarray:
    """Independent tokens of which few are frequent, as in text."""
    generator = np.random.default_rng(0)
    frequencies = 1.0 / np.arange(1, vocab_size + 1)
    chosen = generator.choice(vocab_size, count, p=frequencies / frequencies.sum())
    return chosen.astype(np.uint16)


def start(index: int, folder: Path, gpus: str) -> subprocess.Popen[bytes]:
    """Start a case by torchrun on the GPUs named."""
    command = ["-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(CASES[index].processes), "-m", "benchmarks.scaling"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": gpus, "OMP_NUM_THREADS": "8"}
    with (folder / f"{index}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *command, str(folder), str(index)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def finish(index: int, folder: Path, started: subprocess.Popen[bytes]) -> Measured | None:
    """Wait for a case; None, and its log on stderr, if it failed."""
    try:
        started.wait(CASE_SECONDS)
    except subprocess.TimeoutExpired:
        started.kill()
    result = folder / f"{index}.json"
    if not result.exists():
        log = (folder / f"{index}.log").read_text(errors="replace")
        sys.stderr.write(f"{CASES[index].name} failed:\n{log[-4000:]}\n")
        return None
    measured = Measured(*json.loads(result.read_text()))
    sys.stderr.write(f"{CASES[index].name}: {measured.tokens_per_second:,.0f} tokens/s\n")
    return measured


def run_all(folder: Path, chosen: Sequence[int]) -> list[Measured | None]:
    """Run the chosen cases: those of one GPU two at a time, the others in turn."""
    alone = [index for index in chosen if CASES[index].processes == 1]
    results: dict[int, Measured | None] = {}
    for first in range(0, len(alone), 2):
        pair = alone[first : first + 2]
        started = {index: start(index, folder, str(gpu)) for gpu, index in enumerate(pair)}
        results |= {index: finish(index, folder, started[index]) for index in pair}
    for index in chosen:
        if index not in results:
            results[index] = finish(index, folder, start(index, folder, "0,1"))
    return [results.get(index) for index in range(len(CASES))]


def table(results: Sequence[Measured | None]) -> str:
    """One line for each case; efficiency and differences are against one GPU."""
    pairs = list(zip(CASES, results, strict=True))
    alone = {(case.track, case.precision): r for case, r in pairs if case.processes == 1}
    heads = ("run", "tokens/s", "efficiency", "GiB", "compile s", "loss at 50", "difference")
    lines = [
        heads,
        *(line(case, r, alone[case.track, case.precision]) for case, r in pairs),
    ]
    return "\n".join(f"{n:32}" + "".join(f"{cell:>12}" for cell in rest) for n, *rest in lines)


def line(case: Case, result: Measured | None, alone: Measured | None) -> tuple[str, ...]:
    """Cells of a case."""
    if result is None:
        return (case.name, "no result")
    losses = result.losses[:50]
    cells = [case.name, f"{result.tokens_per_second:,.0f}"]
    if alone is None:
        efficiency = difference = "?"
    else:
        speed_up = result.tokens_per_second / alone.tokens_per_second
        efficiency = f"{speed_up / case.processes:.0%}"
        pairs = zip(losses, alone.losses[:50], strict=True)
        difference = f"{max(abs(one - other) for one, other in pairs):.1e}"
    memory, seconds = f"{result.peak_bytes / GIB:.1f}", f"{result.compile_seconds:.0f}"
    return (*cells, efficiency, memory, seconds, f"{losses[-1]:.4f}", difference)


def main() -> None:
    """Run the cases that the command line names; under torchrun, the one as this process."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, chosen = Path(sys.argv[1]), [int(number) for number in sys.argv[2:]]
    if "RANK" in os.environ:
        measured = measure(CASES[chosen[0]])
        if os.environ["RANK"] == "0":
            (folder / f"{chosen[0]}.json").write_text(json.dumps(measured))
        return
    folder.mkdir(parents=True, exist_ok=True)
    chosen = chosen or list(range(len(CASES)))
    results = run_all(folder, chosen)
    device = next((result.device for result in results if result), "no device")
    sys.stdout.write(f"PyTorch {torch.__version__}, {device}\n{table(results)}\n")
    sys.exit(0 if all(results[index] for index in chosen) else 1)


if __name__ == "__main__":
    main()
