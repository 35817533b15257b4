"""The optimizers' state by the names of parameters, whole, whatever device holds which part."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn, optim

from core.tensor_shares import full_tensors, shared_like

State = Mapping[str, Mapping[str, Tensor]]
"""Parameter's name to the tensors that an optimizer keeps for it."""


def optimizer_state(model: nn.Module, optimizer: optim.Optimizer, keep: bool) -> State:
    """What an optimizer has learnt of its parameters; every process must take part.

    Args:
        keep: whether this process wants it; a process that does not gets nothing.
    """
    return {
        name: full_tensors(optimizer.state[parameter], keep)
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
    }


def load_optimizer_state(model: nn.Module, optimizer: optim.Optimizer, state: State) -> None:
    """Put back what `optimizer_state` returned, in any number of processes; settings stay."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    members = [member for group in optimizer.param_groups for member in group["params"]]
    own_groups = list(optimizer.param_groups)
    optimizer.load_state_dict(
        {
            "state": {
                index: _shared_like(state[names[member]], member)
                for index, member in enumerate(members)
                if names[member] in state
            },
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    # PyTorch has copied them, and with them learning rates that are tensors: a step that is
    # recorded now would read the copies, which nobody sets.
    optimizer.param_groups[:] = own_groups


def _shared_like(tensors: Mapping[str, Tensor], parameter: Tensor) -> dict[str, Any]:
    """Tensors with the parameter's rows are divided as it is; a count of steps is no such one."""
    return {
        key: shared_like(tensor, parameter) if tensor.ndim else tensor
        for key, tensor in tensors.items()
    }
