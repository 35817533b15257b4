"""Muon's momentum in one pass over gradients and momenta (CUDA).

Shape suffixes: S matrices in a stack, M rows, N columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.compiler.disable  # type: ignore[untyped-decorator]
def fused_accelerate(
    gradients: Sequence[Tensor],
    momenta: Sequence[Tensor],
    decay: Tensor,
    gradient_scale: Tensor,
    nesterov: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Move the momenta, in place, and return what is to be orthogonalised; [S, M, N].

    Args:
        gradients: [M, N] or [S, M, N] each.
        decay: float32 scalar, the momentum's.
        gradient_scale: float32 scalar, a factor on every gradient.
        dtype: of the result.
    """
    from core.kernels.triton_momentum import accelerate_

    rows, columns = gradients[0].shape[-2:]
    num_matrices = sum(gradient.numel() for gradient in gradients) // (rows * columns)
    stack_SMN = gradients[0].new_empty(num_matrices, rows, columns, dtype=dtype)
    start = 0
    for gradient, momentum in zip(gradients, momenta, strict=True):
        end = start + gradient.numel() // (rows * columns)
        part_SMN = stack_SMN[start:end]
        accelerate_(gradient.contiguous(), momentum, part_SMN, decay, gradient_scale, nesterov)
        start = end
    return stack_SMN
