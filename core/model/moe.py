"""A feed-forward layer made of experts.

Tokens are sorted by expert, so that all experts are one grouped product; none is dropped.
Shape suffixes: B batch, T time, C hidden channels, F expert channels, E experts, N tokens,
K experts a token visits, M = N × K visits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.grouped_matmul import grouped_matmul
from core.model.router import TopKRouter
from core.schema.experiment import ModelConfig


class _Permute(torch.autograd.Function):
    """Rows in another order; the gradient is a gather too, without atomic additions."""

    @staticmethod
    def forward(rows_MC: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        return rows_MC[order_M]

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx,
        inputs: tuple[Tensor, Tensor, Tensor],
        output: Tensor,
    ) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, gradient_MC: Tensor
    ) -> tuple[Tensor, None, None]:
        (inverse_M,) = ctx.saved_tensors
        return gradient_MC[inverse_M], None, None


class MixtureOfExperts(nn.Module):
    """Each token visits its top-k experts and gets their weighted sum."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        feed_forward = config.feed_forward
        self.num_experts = feed_forward.num_experts
        self.experts_per_token = feed_forward.experts_per_token
        self.activation = feed_forward.activation
        self.router = TopKRouter(config.hidden_size, feed_forward)
        shape = (feed_forward.num_experts, feed_forward.hidden_size, config.hidden_size)
        self.up_EFC = nn.Parameter(torch.empty(shape))
        self.down_ECF = nn.Parameter(torch.empty(shape[0], shape[2], shape[1]))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Run the experts; [B, T, C] to ([B, T, C], scalar load-balancing loss)."""
        x_NC = x_BTC.flatten(0, 1)
        routing = self.router(x_NC)
        visits_M = routing.experts_NK.flatten()
        order_M = visits_M.argsort(stable=True)
        inverse_M = order_M.argsort()
        experts_E = torch.arange(self.num_experts, device=visits_M.device)
        ends_E = (visits_M[:, None] == experts_E).sum(dim=0).cumsum(dim=0).to(torch.int32)
        if torch.is_autocast_enabled(x_NC.device.type):
            x_NC = x_NC.to(torch.get_autocast_dtype(x_NC.device.type))
        visiting_MC = x_NC.repeat_interleave(self.experts_per_token, dim=0)
        sorted_MC = _Permute.apply(visiting_MC, order_M, inverse_M)  # type: ignore[no-untyped-call]
        hidden_MF = self._activate(grouped_matmul(sorted_MC, self.up_EFC, ends_E))
        sorted_MC = grouped_matmul(self.dropout(hidden_MF), self.down_ECF, ends_E)
        returned_MC = _Permute.apply(sorted_MC, inverse_M, order_M)  # type: ignore[no-untyped-call]
        returned_NKC = returned_MC.unflatten(0, (-1, self.experts_per_token))
        output_NC = (returned_NKC * routing.weights_NK[..., None]).sum(dim=1)
        return output_NC.view_as(x_BTC), routing.load_balancing_loss

    def _activate(self, hidden_MF: Tensor) -> Tensor:
        if self.activation == "squared_relu":
            positive_MF = hidden_MF.relu()
            # A product, because autocast would compute a power in float32.
            return positive_MF * positive_MF
        return F.gelu(hidden_MF) if self.activation == "gelu" else F.silu(hidden_MF)
