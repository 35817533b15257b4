"""A step, or the scoring of a batch, recorded once and replayed: one launch, not hundreds.

A record is a CUDA graph. The processor needs longer to launch the kernels of a step than a fast
GPU to run them.
Shape suffixes: B batch, T time.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.training_plan import StepShape

Step = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Int64 tokens [B, T] on the device to two tensors there: mean loss and gradient norm of an
optimizer step, or what a `Scorer` gives."""


class StepGraph:
    """A step for tokens of one shape.

    What the step reads and writes, such as weights, optimizer state and learning rates, must
    stay in the tensors in which it was when the graph was recorded. The random number
    generator moves on at each replay as it would in the step itself.
    """

    def __init__(self, step: Step, shape: StepShape, pool: Any) -> None:
        """Record the step, which must have run before; nothing is executed.

        Args:
            step: launches on the device alone, and never waits for it.
            pool: by `torch.cuda.graph_pool_handle`; memory that graphs share which are
                replayed one after another: what a step leaves there is copied out before the
                next one.
        """
        self._tokens_BT = torch.zeros(shape, dtype=torch.int64, device="cuda")
        # What the run of before left to the allocator would be missing in the graph's own pool.
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._results = step(self._tokens_BT)

    def __call__(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Do the step on other tokens, which may still be on their way to the device."""
        self._tokens_BT.copy_(tokens_BT, non_blocking=True)
        self._graph.replay()
        first, second = self._results
        return first.clone(), second.clone()
