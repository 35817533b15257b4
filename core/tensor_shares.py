"""Tensors of which every process holds some rows: DTensors, as FSDP2 makes them.

Every function takes ordinary tensors too, and treats them as what every process holds whole.
"""

from collections.abc import Mapping

import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_shared(tensor: Tensor) -> bool:
    """Whether this process holds a part of the tensor only."""
    return isinstance(tensor, DTensor)


def local_share(tensor: Tensor) -> Tensor:
    """This process's part of a tensor; a view of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sum_over_shares(value: Tensor, tensor: Tensor) -> Tensor:
    """Sum over the processes of what each took from its part of `tensor`; in place."""
    if isinstance(tensor, DTensor):
        dist.all_reduce(value, group=tensor.device_mesh.get_group())
    return value


def full_tensors(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors; every process must take part.

    Args:
        keep: whether this process wants them; a process that does not gets nothing.
    """
    whole: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            # To the processor at once, so that the device never has two of them.
            whole[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return whole


def shared_like(full: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of another, and divided by rows if that is; nothing is sent."""
    if not isinstance(like, DTensor):
        return full.to(like.device)
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def copy_into(target: Tensor, source: Tensor) -> None:
    """Copy a whole tensor, or one that is divided as the target is, into the target."""
    if not isinstance(source, DTensor):
        source = shared_like(source, target)
    local_share(target).copy_(local_share(source))
