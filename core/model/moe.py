"""A feed-forward layer made of experts.

Tokens are sorted by expert, so that all experts are one grouped product; none is dropped.
Shape suffixes: B batch, T time, C hidden channels, F expert channels (for `swiglu` twice as many
rows in the first matrix), E experts, N tokens, K choices of a token, M = N × K visits.
"""

import torch
from torch import Tensor, nn

from core.kernels.grouped_matmul import grouped_matmul
from core.kernels.selection import is_fused, product_format
from core.model.activation import activate, num_inputs
from core.model.dense import DenseFeedForward
from core.model.dispatch import dispatch
from core.model.router import TopKRouter
from core.schema.model_config import ModelConfig


class MixtureOfExperts(nn.Module):
    """Each token visits its top-k experts and gets their weighted sum.

    For `swiglu` the rows of an expert in `up_EFC` are those of the gate, then those of the
    values, so that both are one product and Muon updates them as one matrix.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        feed_forward = config.feed_forward
        self.config = feed_forward
        self.dropout = config.dropout
        self.router = TopKRouter(config.hidden_size, feed_forward)
        num_experts, width = feed_forward.num_experts, feed_forward.hidden_size
        num_rows = num_inputs(feed_forward.activation) * width
        self.up_EFC = nn.Parameter(torch.empty(num_experts, num_rows, config.hidden_size))
        self.down_ECF = nn.Parameter(torch.empty(num_experts, config.hidden_size, width))
        self.shared: DenseFeedForward | None = None
        if feed_forward.shared_experts:
            self.shared = DenseFeedForward(config, feed_forward.shared_experts * width)

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Run the experts; [B, T, C] to ([B, T, C], scalar auxiliary loss of the router)."""
        x_NC = x_BTC.flatten(0, 1)
        routing = self.router(x_NC)
        visits = dispatch(routing.experts_NK, self.config.num_choices)
        sorted_MC = self._experts(visits.send(x_NC, product_format(x_NC)), visits.ends_E)
        returned_NKC = visits.collect(sorted_MC)
        output_NC = (returned_NKC * routing.weights_NK[..., None]).sum(dim=1)
        if self.config.zero_compute_experts and self.config.zero_compute_kind == "copy":
            copies_NK = routing.experts_NK >= self.config.num_experts
            weight_N = torch.where(copies_NK, routing.weights_NK, 0.0).sum(dim=1)
            output_NC = output_NC + weight_N[:, None] * x_NC
        output_BTC = output_NC.view_as(x_BTC)
        if self.shared is not None:
            output_BTC = output_BTC + self.shared(x_BTC)[0]
        return output_BTC, routing.auxiliary_loss

    @torch.no_grad()
    def zero_output(self) -> None:
        """Set the last matrices to zero, so that experts add nothing at first."""
        self.down_ECF.zero_()
        if self.shared is not None:
            self.shared.zero_output()

    def _experts(self, sorted_MC: Tensor, ends_E: Tensor) -> Tensor:
        """Run each expert on its rows; rows of zero-compute experts come last and give zeros.

        Args:
            ends_E: where the rows of each choice of the router end.
        """
        if not self.config.zero_compute_experts:
            return self._networks(sorted_MC, ends_E)
        num_rows = sorted_MC.shape[0]
        ends_E = ends_E[: self.config.num_experts]
        rows_M = torch.arange(num_rows, device=sorted_MC.device)
        # Selected, not multiplied: what the kernel never wrote may be NaN. The first selection
        # is for the backward pass, where it is the gradient that was never written.
        computed_M1 = (rows_M < ends_E[-1])[:, None]
        sorted_MC = torch.where(computed_M1, sorted_MC, 0.0)
        # The loop's groups must cover all rows, so that the last expert runs on these too.
        if not is_fused(sorted_MC):
            ends_E = torch.cat((ends_E[:-1], ends_E.new_full((1,), num_rows)))
        return torch.where(computed_M1, self._networks(sorted_MC, ends_E), 0.0)

    def _networks(self, sorted_MC: Tensor, ends_E: Tensor) -> Tensor:
        hidden_MF = grouped_matmul(sorted_MC, self.up_EFC, ends_E)
        hidden_MF = activate(hidden_MF, self.config.activation, self.dropout, self.training)
        return grouped_matmul(hidden_MF, self.down_ECF, ends_E)
