"""A feed-forward layer that is one network for every token.

Shape suffixes: B batch, T time, C hidden channels, U channels of the first product,
F channels between the matrices.
"""

import torch
from torch import Tensor, nn

from core.model.activation import activate, num_inputs
from core.schema.model_config import ModelConfig


class DenseFeedForward(nn.Module):
    """Two matrices with a non-linearity between them.

    For `swiglu` the rows of `up` are those of the gate, then those of the values, so that both
    are one product and Muon updates them as one matrix.
    """

    def __init__(self, config: ModelConfig, hidden_size: int) -> None:
        """Make a network of `hidden_size` channels between its two matrices."""
        super().__init__()
        self.activation = config.feed_forward.activation
        self.dropout = config.dropout
        num_rows = num_inputs(self.activation) * hidden_size
        self.up = nn.Linear(config.hidden_size, num_rows, bias=False)
        self.down = nn.Linear(hidden_size, config.hidden_size, bias=False)

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, C] to ([B, T, C], scalar auxiliary loss, which is zero)."""
        hidden_BTU = self.up(x_BTC)
        hidden_BTF = activate(hidden_BTU, self.activation, self.dropout, self.training)
        return self.down(hidden_BTF), x_BTC.new_zeros((), dtype=torch.float32)

    @torch.no_grad()
    def zero_output(self) -> None:
        """Set the last matrix to zero, so that the layer adds nothing at first."""
        self.down.weight.zero_()
