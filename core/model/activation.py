"""Non-linearities between the two matrices of a feed-forward network.

Shape suffixes: ... any leading dimensions, U channels of the first product, F hidden channels.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from core.kernels.activation_dropout import fused_activation_dropout
from core.kernels.selection import is_fused

Activation = Literal["silu", "gelu", "squared_relu", "swiglu"]


def num_inputs(kind: Activation) -> int:
    """Channels of the first product for one hidden channel: U / F."""
    return 2 if kind == "swiglu" else 1


def activate(hidden_U: Tensor, kind: Activation, dropout: float, training: bool) -> Tensor:
    """Apply the non-linearity, then dropout; [..., U] to [..., F] in the same number format.

    For `swiglu` (arXiv:2002.05202, eq. 5) the first half of the channels is the gate.

    Args:
        dropout: probability that a hidden channel is dropped while training.
    """
    if training and dropout > 0.0 and kind != "swiglu" and is_fused(hidden_U):
        return fused_activation_dropout(hidden_U, kind, dropout)
    return F.dropout(_non_linearity(hidden_U, kind), dropout, training)


def _non_linearity(hidden_U: Tensor, kind: Activation) -> Tensor:
    if kind == "swiglu":
        gate_F, up_F = hidden_U.chunk(2, dim=-1)
        return F.silu(gate_F) * up_F
    if kind == "squared_relu":
        positive_F = hidden_U.relu()
        # A product, because autocast would compute a power in float32.
        return positive_F * positive_F
    return F.gelu(hidden_U) if kind == "gelu" else F.silu(hidden_U)
