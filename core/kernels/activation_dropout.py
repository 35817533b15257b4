"""Activation and dropout as one operation whose mask is never stored (CUDA).

Shape suffixes: M rows, F channels.
"""

from typing import Any

import torch
from torch import Tensor


def fused_activation_dropout(x_MF: Tensor, kind: str, dropout: float) -> Tensor:
    """Activation `silu`, `gelu` or `squared_relu`, then dropout of that probability.

    The probability is rounded to a multiple of 2⁻¹⁶; the scale is that of the rounded one.
    """
    seed = torch.randint(2**62, (), device=x_MF.device)
    dropped_MF: Tensor = _activate(x_MF, seed, kind, dropout)
    return dropped_MF


@torch.library.custom_op("five_dollar::activation_dropout", mutates_args=())
def _activate(x_MF: Tensor, seed: Tensor, kind: str, dropout: float) -> Tensor:
    from core.kernels.triton_activation import activate_and_drop

    return activate_and_drop(x_MF, seed, kind, dropout)


@_activate.register_fake
def _(x_MF: Tensor, seed: Tensor, kind: str, dropout: float) -> Tensor:
    return torch.empty_like(x_MF, memory_format=torch.contiguous_format)


@torch.library.custom_op("five_dollar::activation_dropout_backward", mutates_args=())
def _activate_backward(
    gradient_MF: Tensor, x_MF: Tensor, seed: Tensor, kind: str, dropout: float
) -> Tensor:
    from core.kernels.triton_activation import activate_and_drop_backward

    return activate_and_drop_backward(gradient_MF, x_MF, seed, kind, dropout)


@_activate_backward.register_fake
def _(gradient_MF: Tensor, x_MF: Tensor, seed: Tensor, kind: str, dropout: float) -> Tensor:
    return torch.empty_like(x_MF, memory_format=torch.contiguous_format)


def _save_inputs(
    ctx: Any,
    inputs: tuple[Tensor, Tensor, str, float],
    output: Tensor,
) -> None:
    x_MF, seed, ctx.kind, ctx.dropout = inputs
    ctx.save_for_backward(x_MF, seed)


def _gradient(ctx: Any, gradient_MF: Tensor) -> tuple[Tensor, None, None, None]:
    x_MF, seed = ctx.saved_tensors
    return _activate_backward(gradient_MF, x_MF, seed, ctx.kind, ctx.dropout), None, None, None


_activate.register_autograd(_gradient, setup_context=_save_inputs)
