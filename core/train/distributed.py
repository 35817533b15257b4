"""Training on several processes, one a device, by torch.distributed under torchrun.

Every process runs the same program on its share of each batch. What must be decided once (to
stop, which checkpoint to go on from, how much time has passed) is decided by the first process
and told to the others, so that all of them take the same steps.

Shape suffixes: B rows of a batch, T time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from core.errors import InvalidInput
from core.eval.log_likelihood import Scorer
from core.schema.job import Phase
from core.schema.metric_point import MetricPoint
from core.schema.problem import Problem
from core.schema.track import Sharding
from core.schema.training_config import TrainingConfig
from core.train.reporter import Reporter

LONGEST_WAIT = timedelta(days=1)
"""How long processes wait for the first one while it prepares data or writes a checkpoint."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them; by default there is one."""

    rank: int = 0
    """Number of this process, counted from 0."""
    size: int = 1
    """Number of processes."""
    sharding: Sharding = "none"
    """Whether each process holds the whole model, or a share of every parameter."""
    control: Any = None
    """Group for decisions, on the processor; None if there is one process."""

    @property
    def is_main(self) -> bool:
        """Whether this process reports, prepares data and writes files."""
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        """Whether parameters are shared out."""
        return self.size > 1 and self.sharding == "full"

    def agree(self, value: float) -> float:
        """The first process's value, on all of them."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(shared, src=0, group=self.control)
        return shared.item()

    def largest(self, value: float) -> float:
        """The largest of all processes' values."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self.control)
        return shared.item()

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes of a scalar on the device; nobody waits for it here."""
        return self.sum(value) / self.size if self.size > 1 else value

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the processes of a tensor on the device, in place; nobody waits for it here."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: object) -> list[Any]:
        """Every process's small object, in their order, on all of them."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value, group=self.control)
        return gathered

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the first process, then in the others."""
        if not self.is_main:
            dist.barrier(group=self.control)
        yield
        if self.is_main and self.size > 1:
            dist.barrier(group=self.control)

    def own_rows(self, tokens_BT: Tensor, parts: int) -> Tensor:
        """This process's rows of each of `parts` equal parts of a batch, in order; [B / size, T].

        B must be a multiple of parts × size.
        """
        if self.size == 1:
            return tokens_BT
        shares = tokens_BT.unflatten(0, (parts, self.size, -1))
        own_BT: Tensor = shares[:, self.rank].flatten(0, 1)
        return own_BT

    def shared_scorer(self, score: Scorer) -> Scorer:
        """A scorer of which each process scores its share of the rows, and all get all scores."""
        if self.size == 1:
            return score

        def shared_score(tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
            num_rows = tokens_BT.size(0)
            missing = -num_rows % self.size
            # Rows are filled up with copies of the first, so that every process has as many.
            padded_BT = torch.cat([tokens_BT, tokens_BT[:1].expand(missing, -1)])
            log_likelihood_BT, is_top_BT = score(padded_BT.chunk(self.size)[self.rank])
            return (
                _gather_rows(log_likelihood_BT, self.size)[:num_rows],
                _gather_rows(is_top_BT.to(torch.uint8), self.size)[:num_rows].bool(),
            )

        return shared_score


ALONE = Processes()
"""One process, which trains by itself."""


class AgreedReporter:
    """A reporter of each process; the first one's says to all of them whether to stop."""

    def __init__(self, reporter: Reporter, processes: Processes) -> None:
        self._reporter = reporter
        self._processes = processes

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Tell this process's reporter."""
        self._reporter.phase(phase, completed, total)

    def metric(self, point: MetricPoint) -> None:
        """Tell this process's reporter."""
        self._reporter.metric(point)

    def should_stop(self) -> bool:
        """Every process must ask at the same moment."""
        return bool(self._processes.agree(self._reporter.should_stop()))


def check_batches(training: TrainingConfig, size: int) -> None:
    """Make sure that every part of every batch can be shared out evenly.

    Raises:
        InvalidInput: it cannot.
    """
    parts = training.gradient_accumulation_steps
    problems = [
        Problem(
            path="training.batch_size",
            message=f"a batch of {batch_size} sequences in {parts} part(s) cannot be shared out "
            f"evenly over {size} devices; take a multiple of {parts * size}, or fewer devices.",
        )
        for batch_size in dict.fromkeys(training.batch_sizes)
        if batch_size % (parts * size)
    ]
    if problems:
        raise InvalidInput(problems)


def local_rank() -> int:
    """Number of this process among those of its machine, and so of its device; 0 if alone."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined(device: torch.device, sharding: Sharding) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun there is one."""
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    control = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    yield Processes(dist.get_rank(), dist.get_world_size(), sharding, control)
    # After an error nobody says goodbye: the others may be waiting in a collective for ever.
    dist.destroy_process_group()


def _gather_rows(share_BT: Tensor, size: int) -> Tensor:
    """Rows of all processes, in their order."""
    shares = [torch.empty_like(share_BT) for _ in range(size)]
    dist.all_gather(shares, share_BT.contiguous())
    return torch.cat(shares)
