"""Orthogonalising matrices by a few matrix products (kellerjordan.github.io/posts/muon).

Shape suffixes: S matrices in a stack, M rows (outputs), N columns (inputs), D the shorter side.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Literal

import torch
from torch import Tensor

from core.kernels.sizes import merged_iterations
from core.kernels.symmetric_matmul import symmetric_matmul, symmetric_polynomial

Coefficients = Literal["quintic", "polar_express"]
Polynomial = tuple[float, float, float]
"""(a, b, c) of a x + b x³ + c x⁵, which acts on every singular value x."""

QUINTIC: Polynomial = (3.4445, -4.7750, 2.0315)
"""Pushes singular values towards 1 fastest, from the page named above."""
POLAR_EXPRESS: tuple[Polynomial, ...] = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845749493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
"""The best polynomial for each iteration, for singular values from 0.001 to 1
(arXiv:2505.16932, appendix); the last one serves all that follow."""
SAFETY = 1.01
"""Factor by which values may exceed 1 through rounding without being thrown out further."""
NORM_EPSILON = 1e-7


def orthogonalize(matrices_SMN: Tensor, steps: int, coefficients: Coefficients) -> Tensor:
    """Replace the singular values of each matrix by about 1.

    After five steps they are between 0.7 and 1.2 by `quintic`, closer to 1 by `polar_express`.
    The iterations start from the matrix divided by its norm; that division is part of the first
    polynomial, so that no pass over the matrices is needed for it.

    Returns:
        [S, M, N] in the number format of the input, which is that of the iterations.
    """
    x_SMN = matrices_SMN
    tall = x_SMN.size(-2) > x_SMN.size(-1)
    iterations = list(polynomials(steps, coefficients))
    together = merged_iterations(min(x_SMN.shape[-2:]), max(x_SMN.shape[-2:]), coefficients)
    for start in range(0, steps, together):
        gram_SDD = symmetric_matmul(x_SMN.mT if tall else x_SMN)
        scale_S = _inverse_norms(gram_SDD, coefficients) if start == 0 else None
        factor_SDD = _factor(gram_SDD, iterations[start : start + together], scale_S)
        x_SMN = x_SMN @ factor_SDD.mT if tall else factor_SDD @ x_SMN
    return x_SMN


def _inverse_norms(gram_SDD: Tensor, coefficients: Coefficients) -> Tensor:
    """1 / Frobenius norm of the matrices of which these are the Gram matrices, float32 [S]."""
    square_S = gram_SDD.diagonal(dim1=-2, dim2=-1).sum(dim=-1, dtype=torch.float32)
    safety = SAFETY if coefficients == "polar_express" else 1.0
    return 1 / (square_S.sqrt() * safety + NORM_EPSILON)


def _factor(gram_SDD: Tensor, iterations: Sequence[Polynomial], scale_S: Tensor | None) -> Tensor:
    """What some iterations, one after another, multiply a matrix X by, given its Gram matrix A.

    The factors are polynomials of A, so they commute, and P X has the Gram matrix P A P. Of as
    many as are merged the result is as near to exact as without merging, in bfloat16 too.
    Rounded, they commute no more: the first must meet X first, so that a tall X is multiplied
    from the right by the transpose.

    Args:
        scale_S: factor on X before the first iteration, if there is one.
    """
    product_SDD = factor_SDD = symmetric_polynomial(gram_SDD, *iterations[0], scale_S)
    for polynomial in iterations[1:]:
        gram_SDD = factor_SDD @ gram_SDD @ factor_SDD
        factor_SDD = symmetric_polynomial(gram_SDD, *polynomial)
        product_SDD = factor_SDD @ product_SDD
    return product_SDD


def polynomials(steps: int, coefficients: Coefficients) -> Iterator[Polynomial]:
    """The polynomial of each iteration."""
    if coefficients == "quintic":
        return repeat(QUINTIC, steps)
    *earlier, last = POLAR_EXPRESS
    safe = ((a / SAFETY, b / SAFETY**3, c / SAFETY**5) for a, b, c in earlier)
    return islice(chain(safe, repeat(last)), steps)
