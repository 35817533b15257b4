"""Products that are symmetric, in Triton: tiles above the diagonal are copies of those below.

Shape suffixes: S matrices, M rows, K columns.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK_M = 128
_BLOCK_K = 64


@triton.jit
def _kernel(
    x_ptr,
    added_ptr,
    scale_ptr,
    out_ptr,
    num_rows,
    num_columns,
    stride_s,
    stride_m,
    stride_k,
    identity_scale,
    added_scale,
    product_scale,
    ADDED: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Tiles (i, j) and (j, i), j ≤ i, of product_scale × x xᵀ + added_scale × added + identity.

    Where it is scaled by s: s × (s⁴ × the first term + s² × the second + identity).
    """
    pair = tl.program_id(0)
    matrix = tl.program_id(1).to(tl.int64)
    i = ((tl.sqrt(8.0 * pair + 1.0) - 1.0) * 0.5).to(tl.int32)
    # The root is rounded: put i where i (i + 1) / 2 <= pair < (i + 1) (i + 2) / 2.
    i = tl.where(i * (i + 1) // 2 > pair, i - 1, i)
    i = tl.where((i + 1) * (i + 2) // 2 <= pair, i + 1, i)
    j = pair - i * (i + 1) // 2
    rows = i * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = j * BLOCK_M + tl.arange(0, BLOCK_M)
    ks = tl.arange(0, BLOCK_K)
    base = x_ptr + matrix * stride_s
    left_ptrs = base + rows[:, None] * stride_m + ks[None, :] * stride_k
    right_ptrs = base + columns[None, :] * stride_m + ks[:, None] * stride_k
    row_mask, column_mask = rows[:, None] < num_rows, columns[None, :] < num_rows
    accumulator = tl.zeros((BLOCK_M, BLOCK_M), dtype=tl.float32)
    for k in range(0, num_columns, BLOCK_K):
        left = tl.load(left_ptrs, mask=row_mask & (ks[None, :] < num_columns - k), other=0.0)
        right = tl.load(right_ptrs, mask=column_mask & (ks[:, None] < num_columns - k), other=0.0)
        accumulator = tl.dot(left, right, accumulator)
        left_ptrs += BLOCK_K * stride_k
        right_ptrs += BLOCK_K * stride_k
    offset = matrix * num_rows * num_rows
    mask = row_mask & column_mask
    places = rows[:, None] * num_rows + columns[None, :]
    scale = tl.load(scale_ptr + matrix) if SCALED else 1.0
    square = scale * scale
    accumulator = accumulator * (product_scale * square * square)
    if ADDED:
        added = tl.load(added_ptr + offset + places, mask=mask, other=0.0)
        accumulator += (added_scale * square) * added.to(tl.float32)
        accumulator += tl.where(rows[:, None] == columns[None, :], identity_scale, 0.0)
    out = (accumulator * scale).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + offset + places, out, mask=mask)
    if i != j:
        mirrored = columns[:, None] * num_rows + rows[None, :]
        mirror_mask = (columns[:, None] < num_rows) & (rows[None, :] < num_rows)
        tl.store(out_ptr + offset + mirrored, out.trans(), mask=mirror_mask)


def gram(x_SMK: Tensor) -> Tensor:
    """x xᵀ of each matrix, [S, M, M]; any strides."""
    return _launch(x_SMK, None, None, 0.0, 0.0, 1.0)


def polynomial(gram_SMM: Tensor, a: float, b: float, c: float, scale_S: Tensor | None) -> Tensor:
    """s (a I + b s² G + c s⁴ G G) of each symmetric, contiguous matrix, [S, M, M]; s is 1 or given.

    Args:
        scale_S: float32.
    """
    return _launch(gram_SMM, gram_SMM, scale_S, a, b, c)


def _launch(
    x_SMK: Tensor,
    added_SMM: Tensor | None,
    scale_S: Tensor | None,
    identity: float,
    added: float,
    product: float,
) -> Tensor:
    num_matrices, num_rows, num_columns = x_SMK.shape
    out_SMM = x_SMK.new_empty(num_matrices, num_rows, num_rows)
    tiles = triton.cdiv(num_rows, _BLOCK_M)
    _kernel[(tiles * (tiles + 1) // 2, num_matrices)](
        x_SMK,
        x_SMK if added_SMM is None else added_SMM,
        x_SMK if scale_S is None else scale_S,
        out_SMM,
        num_rows,
        num_columns,
        *x_SMK.stride(),
        identity,
        added,
        product,
        ADDED=added_SMM is not None,
        SCALED=scale_S is not None,
        BLOCK_M=_BLOCK_M,
        BLOCK_K=_BLOCK_K,
        num_warps=4,
        num_stages=3 if _shared_memory_is_large(x_SMK.device) else 2,
    )
    return out_SMM


def _shared_memory_is_large(device: torch.device) -> bool:
    """Whether three stages of tiles, 96 KiB, fit twice; consumer cards have 99 KiB a block."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) in ((8, 0), (9, 0))
