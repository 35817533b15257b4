"""Output matrix, softmax and loss in Triton: a product that writes exponentials, not logits.

With z the logits of a row, t its target and S the sum of exp(z − z_t) over all other entries, the
loss is log(1 + S). The gradient with respect to the logits is exp(z − z_t) ÷ (1 + S), and −S ÷
(1 + S) at the target. So the product writes exponentials and their sums, and what is left of the
softmax is one factor a row, which the products that follow take with their other operand: there
is no pass over the logits.
Shape suffixes: N rows, C channels, V entries, G tiles of a row.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from core.kernels.linear_cross_entropy import IGNORED

LARGEST_EXPONENT = 70.0
"""A logit further above the target's counts as this far above, so that no sum is infinite."""
_ROW_TILES_TOGETHER = 32
"""Tiles of rows that share a tile of the matrix while the cache holds both."""


@triton.jit
def _tanh(x):
    """By one exponential and one division: 1 − 2 ÷ (exp(2 x) + 1)."""
    return 1 - 2 / (tl.exp2(x * 2.8853900817779268) + 1)


@triton.jit
def _target_kernel(
    x_ptr,
    weight_ptr,
    targets_ptr,
    chosen_ptr,
    num_inputs,
    soft_cap,
    CAPPED: tl.constexpr,
    INPUTS: tl.constexpr,
):
    """Logit of a row's target, after the cap; 0 for a row that does not count."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    channels = tl.arange(0, INPUTS)
    inside = channels < num_inputs
    x = tl.load(x_ptr + row * num_inputs + channels, mask=inside, other=0.0)
    weight_ptrs = weight_ptr + target * num_inputs + channels
    weight = tl.load(weight_ptrs, mask=inside & (target >= 0), other=0.0)
    logit = tl.sum(x.to(tl.float32) * weight.to(tl.float32), 0)
    if CAPPED:
        logit = soft_cap * _tanh(logit / soft_cap)
    tl.store(chosen_ptr + row, logit)


@triton.jit
def _halves(tile, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """The left and the right half of a tile's columns."""
    return tl.reshape(tile, (BLOCK_M, 2, BLOCK_N // 2)).permute(0, 2, 1).split()


@triton.jit
def _write_exponentials(
    logits,
    chosen,
    targets,
    columns,
    row_ptrs,
    row_inside,
    num_entries,
    soft_cap,
    inverse_cap,
    largest_exponent,
    CAPPED: tl.constexpr,
):
    """Write some columns of a tile; returns the sum of each row."""
    if CAPPED:
        share = _tanh(logits * inverse_cap)
        logits = soft_cap * share
    above = tl.minimum(logits - chosen[:, None], largest_exponent)
    exponentials = tl.exp2(above * 1.4426950408889634)
    inside = columns[None, :] < num_entries
    is_other = inside & (columns[None, :] != targets[:, None])
    exponentials = tl.where(is_other, exponentials, 0.0)
    out = exponentials
    if CAPPED:
        out = exponentials * (1 - share * share)
    out_ptrs = row_ptrs[:, None] + columns[None, :]
    tl.store(out_ptrs, out.to(row_ptrs.dtype.element_ty), mask=row_inside[:, None] & inside)
    return tl.sum(exponentials, 1)


@triton.jit
def _exponentials_kernel(
    x_ptr,
    weight_ptr,
    targets_ptr,
    chosen_ptr,
    out_ptr,
    sums_ptr,
    num_rows,
    num_entries,
    soft_cap,
    inverse_cap,
    largest_exponent,
    INPUTS: tl.constexpr,
    CAPPED: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
):
    """A tile of exponentials, zero at targets, times the slope of the cap; sums without it."""
    row_tiles = tl.cdiv(num_rows, BLOCK_M)
    column_tiles = tl.cdiv(num_entries, BLOCK_N)
    group = tl.program_id(0) // (GROUP * column_tiles)
    within = tl.program_id(0) % (GROUP * column_tiles)
    group_rows = min(row_tiles - group * GROUP, GROUP)
    column_tile = within // group_rows
    rows = (group * GROUP + within % group_rows) * BLOCK_M + tl.arange(0, BLOCK_M)
    first_column = column_tile * BLOCK_N
    columns = first_column + tl.arange(0, BLOCK_N)
    row_inside = rows < num_rows
    # Rows and columns past the end compute with the first one, so that loads need no mask.
    rows = tl.where(row_inside, rows, 0)
    columns = tl.where(columns < num_entries, columns, 0)
    ks = tl.arange(0, BLOCK_K)
    tile = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, INPUTS, BLOCK_K):
        x_ptrs = x_ptr + rows[:, None] * INPUTS + (k + ks)[None, :]
        weight_ptrs = weight_ptr + columns[None, :] * INPUTS + (k + ks)[:, None]
        if INPUTS % BLOCK_K == 0:
            x, weight = tl.load(x_ptrs), tl.load(weight_ptrs)
        else:
            x = tl.load(x_ptrs, mask=(k + ks)[None, :] < INPUTS, other=0.0)
            weight = tl.load(weight_ptrs, mask=(k + ks)[:, None] < INPUTS, other=0.0)
        tile = tl.dot(x, weight, tile)
    chosen, targets = tl.load(chosen_ptr + rows), tl.load(targets_ptr + rows).to(tl.int32)
    row_ptrs = out_ptr + rows.to(tl.int64) * num_entries
    sums = tl.zeros((BLOCK_M,), dtype=tl.float32)
    # Quarter by quarter, so that a thread's registers hold all that it takes.
    left, right = _halves(tile, BLOCK_M, BLOCK_N)
    for half in tl.static_range(2):
        quarters = _halves(left if half == 0 else right, BLOCK_M, BLOCK_N // 2)
        for quarter in tl.static_range(2):
            start = first_column + (2 * half + quarter) * (BLOCK_N // 4)
            sums += _write_exponentials(
                quarters[quarter],
                chosen,
                targets,
                start + tl.arange(0, BLOCK_N // 4),
                row_ptrs,
                row_inside,
                num_entries,
                soft_cap,
                inverse_cap,
                largest_exponent,
                CAPPED,
            )
    tl.store(sums_ptr + rows * column_tiles + column_tile, sums, mask=row_inside)


@triton.jit
def _row_kernel(
    x_ptr,
    targets_ptr,
    count_ptr,
    chosen_ptr,
    sums_ptr,
    exponentials_ptr,
    loss_ptr,
    factor_ptr,
    scaled_ptr,
    num_entries,
    num_inputs,
    num_sums,
    soft_cap,
    IGNORED_TARGET: tl.constexpr,
    CAPPED: tl.constexpr,
    INPUTS: tl.constexpr,
    SUMS: tl.constexpr,
):
    """Loss of a row, its factor, x times the factor, and what stands at the target."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    counts = target != IGNORED_TARGET
    parts = tl.arange(0, SUMS)
    sums = tl.load(sums_ptr + row * num_sums + parts, mask=parts < num_sums, other=0.0)
    others = tl.sum(sums, 0)
    share = tl.where(counts, 1.0 / tl.load(count_ptr).to(tl.float32), 0.0)
    factor = share / (1 + others)
    tl.store(loss_ptr + row, share * tl.log(1 + others))
    tl.store(factor_ptr + row, factor)
    at_target = -others
    if CAPPED:
        capped = tl.load(chosen_ptr + row) / soft_cap
        at_target *= 1 - capped * capped
    target_ptr = exponentials_ptr + row * num_entries + target
    tl.store(target_ptr, at_target.to(exponentials_ptr.dtype.element_ty), mask=counts)
    channels = tl.arange(0, INPUTS)
    inside = channels < num_inputs
    x = tl.load(x_ptr + row * num_inputs + channels, mask=inside).to(tl.float32)
    scaled = (x * factor).to(scaled_ptr.dtype.element_ty)
    tl.store(scaled_ptr + row * num_inputs + channels, scaled, mask=inside)


def exponentials_of_logits(
    x_NC: Tensor,
    weight_VC: Tensor,
    targets_N: Tensor,
    count: Tensor,
    soft_cap: float,
    loss_N: Tensor,
    factor_N: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradient of the loss with respect to the logits, but for a factor a row, and scaled x.

    Args:
        x_NC: contiguous bfloat16, as the weight.
        targets_N: int64; `IGNORED` rows get no loss and no gradient.
        count: scalar, rows that count.
        soft_cap: cap of the logits; 0 is none.
        loss_N: float32, written: each row's part of the mean, in nats.
        factor_N: float32, written: what a row of the result is to be multiplied by.

    Returns:
        Bfloat16 [N, V], and x with each row times its factor, bfloat16 [N, C].
    """
    num_rows, num_inputs = x_NC.shape
    num_entries = weight_VC.size(0)
    block_m, block_n, block_k, warps, stages = _blocks(x_NC.device)
    row_tiles, num_sums = triton.cdiv(num_rows, block_m), triton.cdiv(num_entries, block_n)
    exponentials_NV = x_NC.new_empty(num_rows, num_entries)
    sums_NG = x_NC.new_empty(num_rows, num_sums, dtype=torch.float32)
    chosen_N = torch.empty_like(loss_N)
    scaled_NC = torch.empty_like(x_NC)
    is_capped, inputs = soft_cap > 0, triton.next_power_of_2(num_inputs)
    _target_kernel[(num_rows,)](
        x_NC, weight_VC, targets_N, chosen_N, num_inputs, soft_cap, CAPPED=is_capped, INPUTS=inputs
    )
    _exponentials_kernel[(row_tiles * num_sums,)](
        x_NC,
        weight_VC,
        targets_N,
        chosen_N,
        exponentials_NV,
        sums_NG,
        num_rows,
        num_entries,
        soft_cap,
        1 / soft_cap if is_capped else 0.0,
        LARGEST_EXPONENT,
        INPUTS=num_inputs,
        CAPPED=is_capped,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=block_k,
        GROUP=_ROW_TILES_TOGETHER,
        num_warps=warps,
        num_stages=stages,
    )
    _row_kernel[(num_rows,)](
        x_NC,
        targets_N,
        count,
        chosen_N,
        sums_NG,
        exponentials_NV,
        loss_N,
        factor_N,
        scaled_NC,
        num_entries,
        num_inputs,
        num_sums,
        soft_cap,
        IGNORED_TARGET=IGNORED,
        CAPPED=is_capped,
        INPUTS=inputs,
        SUMS=triton.next_power_of_2(num_sums),
    )
    return exponentials_NV, scaled_NC


def _blocks(device: torch.device) -> tuple[int, int, int, int, int]:
    """Tile rows, columns and depth, warps and pipeline stages that suit the GPU."""
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    if capability in ((8, 0), (9, 0)):
        return 128, 256, 64, 8, 4 if capability == (9, 0) else 3
    return 128, 128, 32, 4, 4
