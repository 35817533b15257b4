"""Products of matrices with their own transposes, and polynomials of symmetric matrices.

Shape suffixes: S matrices in a stack, M rows, N columns.
"""

import torch
from torch import Tensor

from core.kernels.selection import is_fused


def symmetric_matmul(x_SMN: Tensor) -> Tensor:
    """Multiply each matrix by its transpose; [S, M, M], symmetric, in the input's dtype."""
    if is_fused(x_SMN):
        product_SMM: Tensor = _gram(x_SMN)
        return product_SMM
    return x_SMN @ x_SMN.mT


def symmetric_polynomial(
    matrices_SMM: Tensor, a: float, b: float, c: float, scale_S: Tensor | None = None
) -> Tensor:
    """a I + b A + c A A of each symmetric matrix A; [S, M, M], in the input's dtype.

    Args:
        scale_S: float32 factor s of each matrix X of which A is the Gram matrix: the result is
            s × the polynomial of s² A, which multiplied by X is what iterating on s X gives.
    """
    if is_fused(matrices_SMM):
        fused_SMM: Tensor = _polynomial(matrices_SMM, a, b, c, scale_S)
        return fused_SMM
    # float32, because bfloat16 would round the terms before they cancel.
    identity_MM = torch.eye(matrices_SMM.size(-1), device=matrices_SMM.device)
    square_SMM = (matrices_SMM @ matrices_SMM).float()
    if scale_S is None:
        polynomial_SMM = a * identity_MM + b * matrices_SMM.float() + c * square_SMM
    else:
        s_S11 = scale_S[:, None, None]
        scaled_SMM = b * s_S11**2 * matrices_SMM.float() + c * s_S11**4 * square_SMM
        polynomial_SMM = s_S11 * (a * identity_MM + scaled_SMM)
    return polynomial_SMM.type_as(matrices_SMM)


@torch.library.custom_op("five_dollar::gram", mutates_args=())
def _gram(x_SMN: Tensor) -> Tensor:
    from core.kernels.triton_symmetric_matmul import gram

    return gram(x_SMN)


@_gram.register_fake
def _(x_SMN: Tensor) -> Tensor:
    return x_SMN.new_empty(x_SMN.size(0), x_SMN.size(1), x_SMN.size(1))


@torch.library.custom_op("five_dollar::symmetric_polynomial", mutates_args=())
def _polynomial(
    matrices_SMM: Tensor, a: float, b: float, c: float, scale_S: Tensor | None
) -> Tensor:
    from core.kernels.triton_symmetric_matmul import polynomial

    return polynomial(matrices_SMM.contiguous(), a, b, c, scale_S)


@_polynomial.register_fake
def _(matrices_SMM: Tensor, a: float, b: float, c: float, scale_S: Tensor | None) -> Tensor:
    return matrices_SMM.new_empty(matrices_SMM.shape)
