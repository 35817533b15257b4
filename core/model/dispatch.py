"""Bringing tokens to the experts they visit, and the results back.

Shape suffixes: N tokens, K experts a token visits, M = N × K visits, E choices of the router,
C hidden channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Dispatch(NamedTuple):
    """Visits sorted by expert; those of one expert stay in the tokens' order.

    Visit n × K + k is the k-th of token n.
    """

    order_M: Tensor
    """Int32 visit in each sorted row."""
    rows_NK: Tensor
    """Int32 sorted row of each visit: the inverse of the order."""
    ends_E: Tensor
    """Int32 sorted row where the visits to each choice end."""

    def send(self, x_NC: Tensor, dtype: torch.dtype) -> Tensor:
        """The token of each sorted row, converted to `dtype`; [M, C].

        The gradient of a token is summed over its visits in the format of `x`.
        """
        sorted_MC: Tensor = _Send.apply(  # type: ignore[no-untyped-call]
            x_NC, self.order_M, self.rows_NK, dtype
        )
        return sorted_MC

    def collect(self, sorted_MC: Tensor) -> Tensor:
        """The row of each visit of each token; [N, K, C]."""
        returned_NKC: Tensor = _Collect.apply(  # type: ignore[no-untyped-call]
            sorted_MC, self.order_M, self.rows_NK
        )
        return returned_NKC


def dispatch(experts_NK: Tensor, num_choices: int) -> Dispatch:
    """Sort visits by the choice they go to, by counting.

    With a row of ones and zeros for each choice, the running sum over all rows, one after
    another, is at a visit's one the number of visits that sort up to it. Nothing is compared,
    and the device never waits for the processor.
    """
    visits_M = experts_NK.flatten()
    num_visits = visits_M.shape[0]
    numbers_M = torch.arange(num_visits, device=visits_M.device, dtype=torch.int32)
    choices_E = torch.arange(num_choices, device=visits_M.device)
    chosen_EM = choices_E[:, None] == visits_M
    sorted_up_to_EM = chosen_EM.flatten().cumsum(0, dtype=torch.int32).view_as(chosen_EM)
    rows_M = sorted_up_to_EM[visits_M, numbers_M] - 1
    order_M = torch.empty_like(rows_M).index_put((rows_M,), numbers_M)
    return Dispatch(order_M, rows_M.view_as(experts_NK), sorted_up_to_EM[:, -1].contiguous())


class _Send(torch.autograd.Function):
    """Rows of tokens; the gradient is a gather and a sum, without atomic additions."""

    @staticmethod
    def forward(x_NC: Tensor, order_M: Tensor, rows_NK: Tensor, dtype: torch.dtype) -> Tensor:
        return x_NC.to(dtype)[order_M // rows_NK.shape[1]]

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx,
        inputs: tuple[Tensor, Tensor, Tensor, torch.dtype],
        output: Tensor,
    ) -> None:
        ctx.dtype = inputs[0].dtype  # type: ignore[attr-defined]
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, gradient_MC: Tensor
    ) -> tuple[Tensor, None, None, None]:
        (rows_NK,) = ctx.saved_tensors
        dtype: torch.dtype = ctx.dtype  # type: ignore[attr-defined]
        return gradient_MC[rows_NK].sum(dim=1, dtype=dtype), None, None, None


class _Collect(torch.autograd.Function):
    """Rows of visits; the gradient is a gather too, without atomic additions."""

    @staticmethod
    def forward(sorted_MC: Tensor, order_M: Tensor, rows_NK: Tensor) -> Tensor:
        return sorted_MC[rows_NK]

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx,
        inputs: tuple[Tensor, Tensor, Tensor],
        output: Tensor,
    ) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, gradient_NKC: Tensor
    ) -> tuple[Tensor, None, None]:
        (order_M,) = ctx.saved_tensors
        return gradient_NKC.flatten(0, 1)[order_M], None, None
