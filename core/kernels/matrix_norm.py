"""Norms of a stack of matrices.

Shape suffixes: S matrices in a stack, M rows, N columns.
"""

import torch
from torch import Tensor


def frobenius_norms(matrices_SMN: Tensor) -> Tensor:
    """Float32 norm [S] of each contiguous matrix.

    An operation of its own, because the compiler's kernel for so long rows takes several times
    as long as PyTorch's.
    """
    norm_S: Tensor = _norms(matrices_SMN)
    return norm_S


@torch.library.custom_op("five_dollar::frobenius_norms", mutates_args=())
def _norms(matrices_SMN: Tensor) -> Tensor:
    norm_S: Tensor = torch.linalg.vector_norm(matrices_SMN.flatten(1), dim=1, dtype=torch.float32)
    return norm_S


@_norms.register_fake
def _(matrices_SMN: Tensor) -> Tensor:
    return matrices_SMN.new_empty(matrices_SMN.size(0), dtype=torch.float32)
