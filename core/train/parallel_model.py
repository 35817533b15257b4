"""A model on this process's device: whole (DDP), or a share of every parameter (FSDP2).

Shape suffixes: B batch, T time.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from core.model.transformer import Transformer
from core.train.compilation import compiled
from core.train.distributed import Processes

Function = Callable[..., Any]
"""Takes the model and token ids."""


class ParallelModel:
    """Calls functions of a model; gradients are averaged over the processes meanwhile.

    With one process it is the model itself.
    """

    def __init__(
        self,
        model: Transformer,
        processes: Processes,
        device: torch.device,
        precision: str,
        is_compiled: bool,
    ) -> None:
        """Move the model to the device, or this process's share of it.

        Args:
            model: on the processor, with the same weights in every process.
            precision: as in the training config; parameters that are shared out are gathered
                in it, and their gradients are averaged in float32.
            is_compiled: whether functions that run in training are compiled.
        """
        self.model = model
        self._is_compiled = is_compiled
        self._sharded = processes.is_sharded
        self._entry: nn.Module = _Entry(model)
        if is_compiled:
            _compile_pieces(model)
        if self._sharded:
            _shard(self._entry, model, processes.size, device, precision)
        model.to(device)
        if processes.size > 1 and not self._sharded:
            self._entry = _replicate(self._entry, device)

    def train(self, function: Function, tokens_BT: Tensor) -> Any:
        """Call a function of the model whose result is differentiated."""
        return self._entry(function, tokens_BT)

    def score(self, function: Function, tokens_BT: Tensor, many_shapes: bool) -> Any:
        """Call a function of the model without gradients.

        Args:
            many_shapes: whether there are so many shapes of tokens, a few times each, that
                compiling would cost more than it saves.
        """
        with _uncompiled() if many_shapes and self._is_compiled else nullcontext():
            if not isinstance(self._entry, FSDPModule):
                return function(self.model, tokens_BT)
            result = self._entry(function, tokens_BT)
            self._entry.reshard()
            return result

    @contextmanager
    def accumulating(self, is_last: bool) -> Iterator[None]:
        """Around forward and backward of a part of a batch: the last part averages gradients."""
        if isinstance(self._entry, FSDPModule):
            self._entry.set_requires_gradient_sync(is_last)
        if isinstance(self._entry, DistributedDataParallel) and not is_last:
            with self._entry.no_sync():
                yield
        else:
            yield


class _Entry(nn.Module):
    """Calls a function of a model as the forward pass, around which DDP and FSDP put hooks."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Function, tokens_BT: Tensor) -> Any:
        return function(self.model, tokens_BT)


def _replicate(entry: nn.Module, device: torch.device) -> nn.Module:
    """Average gradients over the processes, which hold the same weights."""
    # Its splitter of graphs knows no autograd functions and no kernels of our own.
    torch._dynamo.config.optimize_ddp = False
    with warnings.catch_warnings():
        # The newest PyTorch has another name for `broadcast_buffers`, the oldest only this one.
        warnings.simplefilter("ignore", FutureWarning)
        # Buffers differ: each process counts its own tokens' choices of experts.
        return DistributedDataParallel(
            entry,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )


def _shard(
    entry: nn.Module,
    model: Transformer,
    num_processes: int,
    device: torch.device,
    precision: str,
) -> None:
    """Share out the parameters of each block, and the others together, and move them."""
    mesh = init_device_mesh(device.type, (num_processes,))
    # Inputs are not cast, because the residual stream has a format of its own.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision == "bfloat16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for block in (*model.blocks, *model.extra_blocks):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(entry, mesh=mesh, mp_policy=policy)


def _compile_pieces(model: Transformer) -> None:
    """Compile what happens between the hooks that gather parameters, each piece by itself.

    Blocks that do the same share one compiled form, so that eight layers take no longer to
    compile than one.
    """
    for block in (*model.blocks, *model.extra_blocks):
        block.forward = compiled(block.forward)
    for name in ("context", "embed", "prediction_loss"):
        setattr(model, name, compiled(getattr(model, name)))
    model.connections.weighted_sum = compiled(model.connections.weighted_sum)  # type: ignore[method-assign]


def _uncompiled() -> AbstractContextManager[None]:
    """Within the block compiled functions run as they were written."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance
