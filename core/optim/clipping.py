"""Clipping the global norm of the gradient (arXiv:1211.5063) without a pass of its own."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from core.tensor_shares import is_shared, local_share, sum_over_shares

NORM_EPSILON = 1e-6


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Global L2 norm of all gradients; a float32 scalar on the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    shares = [local_share(gradient) for gradient in gradients]
    # Summed in float32: a bfloat16 norm would make the clipping wrong by up to 0.4 %.
    norms = torch._foreach_norm(shares, 2, dtype=torch.float32)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    if not is_shared(gradients[0]):
        return norm
    return sum_over_shares(norm * norm, gradients[0]).sqrt()


def clip_coefficient(norm: Tensor, largest_norm: float) -> Tensor:
    """Factor on gradients of that norm, as `torch.nn.utils.clip_grad_norm_` takes it."""
    return (largest_norm / (norm + NORM_EPSILON)).clamp(max=1.0)
