"""Grouped matrix products in Triton, for GPUs from compute capability 8.0 on.

Rows of one group are consecutive; a tile never spans two groups. Sizes stay on the device.
Shape suffixes: M rows, I and O channels, E groups.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _tile_of_group(ends_ptr, tile, num_groups, GROUPS: tl.constexpr, BLOCK_M: tl.constexpr):
    """Group, first row and end row of a tile; the group is `num_groups` past the last tile."""
    group = tl.arange(0, GROUPS)
    inside = group < num_groups
    ends = tl.load(ends_ptr + group, mask=inside, other=0)
    starts = tl.load(ends_ptr + group - 1, mask=inside & (group > 0), other=0)
    tiles = tl.where(inside, (ends - starts + BLOCK_M - 1) // BLOCK_M, 0)
    tile_ends = tl.cumsum(tiles, 0)
    mine = tl.sum(((tile_ends <= tile) & inside).to(tl.int32), 0)
    is_mine = group == mine
    start = tl.sum(tl.where(is_mine, starts, 0), 0)
    end = tl.sum(tl.where(is_mine, ends, 0), 0)
    first_tile = tl.sum(tl.where(is_mine, tile_ends - tiles, 0), 0)
    return mine, start + (tile - first_tile) * BLOCK_M, end


@triton.jit
def _rows_kernel(
    x_ptr,
    weight_ptr,
    out_ptr,
    ends_ptr,
    num_groups,
    num_outputs,
    num_inputs,
    weight_group_stride,
    weight_output_stride,
    weight_input_stride,
    GROUPS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """One tile of out[m, n] = Σ_k x[m, k] × weight[group of m, n, k]."""
    column_tiles = tl.cdiv(num_outputs, BLOCK_N)
    tile = tl.program_id(0) // column_tiles
    column = (tl.program_id(0) % column_tiles) * BLOCK_N
    group, row, end = _tile_of_group(ends_ptr, tile, num_groups, GROUPS, BLOCK_M)
    if group >= num_groups:
        return
    rows = row + tl.arange(0, BLOCK_M)
    columns = column + tl.arange(0, BLOCK_N)
    ks = tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + rows[:, None].to(tl.int64) * num_inputs + ks[None, :]
    weight_ptrs = (
        weight_ptr
        + group.to(tl.int64) * weight_group_stride
        + columns[None, :] * weight_output_stride
        + ks[:, None] * weight_input_stride
    )
    accumulator = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    row_mask = rows[:, None] < end
    column_mask = columns[None, :] < num_outputs
    for k in range(0, num_inputs, BLOCK_K):
        x = tl.load(x_ptrs, mask=row_mask & (ks[None, :] < num_inputs - k), other=0.0)
        weight = tl.load(weight_ptrs, mask=column_mask & (ks[:, None] < num_inputs - k), other=0.0)
        accumulator = tl.dot(x, weight, accumulator)
        x_ptrs += BLOCK_K
        weight_ptrs += BLOCK_K * weight_input_stride
    out_ptrs = out_ptr + rows[:, None].to(tl.int64) * num_outputs + columns[None, :]
    tl.store(out_ptrs, accumulator.to(out_ptr.dtype.element_ty), mask=row_mask & column_mask)


@triton.jit
def _weight_kernel(
    gradient_ptr,
    x_ptr,
    out_ptr,
    ends_ptr,
    num_outputs,
    num_inputs,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """One tile of out[e, o, i] = Σ over rows m of group e of gradient[m, o] × x[m, i]."""
    group = tl.program_id(1)
    column_tiles = tl.cdiv(num_inputs, BLOCK_N)
    outputs = (tl.program_id(0) // column_tiles) * BLOCK_M + tl.arange(0, BLOCK_M)
    inputs = (tl.program_id(0) % column_tiles) * BLOCK_N + tl.arange(0, BLOCK_N)
    start = tl.load(ends_ptr + group - 1, mask=group > 0, other=0)
    end = tl.load(ends_ptr + group)
    rows = start + tl.arange(0, BLOCK_K)
    output_mask = outputs[None, :] < num_outputs
    input_mask = inputs[None, :] < num_inputs
    gradient_ptrs = gradient_ptr + rows[:, None].to(tl.int64) * num_outputs + outputs[None, :]
    x_ptrs = x_ptr + rows[:, None].to(tl.int64) * num_inputs + inputs[None, :]
    accumulator = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for row in range(start, end, BLOCK_K):
        row_mask = (rows[:, None] - start) < end - row
        gradient = tl.load(gradient_ptrs, mask=row_mask & output_mask, other=0.0)
        x = tl.load(x_ptrs, mask=row_mask & input_mask, other=0.0)
        accumulator = tl.dot(gradient.trans(), x, accumulator)
        gradient_ptrs += BLOCK_K * num_outputs
        x_ptrs += BLOCK_K * num_inputs
    out_ptrs = (
        out_ptr
        + group.to(tl.int64) * num_outputs * num_inputs
        + outputs[:, None] * num_inputs
        + inputs[None, :]
    )
    mask = (outputs[:, None] < num_outputs) & input_mask
    tl.store(out_ptrs, accumulator.to(out_ptr.dtype.element_ty), mask=mask)


def multiply_rows(x_MI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """Rows times the transpose of their group's matrix; [M, O] in the rows' dtype.

    Args:
        weight_EOI: any strides, so that `weight.mT` multiplies by the matrix itself.
    """
    x_MI = x_MI.contiguous()
    num_rows, num_inputs = x_MI.shape
    num_groups, num_outputs, _ = weight_EOI.shape
    out_MO = x_MI.new_empty(num_rows, num_outputs)
    block_m, block_n, block_k, warps, stages = _blocks(x_MI.device)
    tiles = triton.cdiv(num_rows, block_m) + num_groups
    _rows_kernel[(tiles * triton.cdiv(num_outputs, block_n),)](
        x_MI,
        weight_EOI,
        out_MO,
        ends_E,
        num_groups,
        num_outputs,
        num_inputs,
        *weight_EOI.stride(),
        GROUPS=triton.next_power_of_2(num_groups),
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=block_k,
        num_warps=warps,
        num_stages=stages,
    )
    return out_MO


def weight_gradient(
    gradient_MO: Tensor, x_MI: Tensor, ends_E: Tensor, dtype: torch.dtype
) -> Tensor:
    """Gradient of each group's matrix, [E, O, I]; zeros for an empty group."""
    gradient_MO, x_MI = gradient_MO.contiguous(), x_MI.contiguous()
    num_outputs, num_inputs, num_groups = gradient_MO.size(1), x_MI.size(1), ends_E.numel()
    out_EOI = x_MI.new_empty(num_groups, num_outputs, num_inputs, dtype=dtype)
    block_m, block_n, block_k, warps, stages = _blocks(x_MI.device)
    tiles = triton.cdiv(num_outputs, block_m) * triton.cdiv(num_inputs, block_n)
    _weight_kernel[(tiles, num_groups)](
        gradient_MO,
        x_MI,
        out_EOI,
        ends_E,
        num_outputs,
        num_inputs,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=block_k,
        num_warps=warps,
        num_stages=stages,
    )
    return out_EOI


def _blocks(device: torch.device) -> tuple[int, int, int, int, int]:
    """Tile rows, columns and depth, warps and pipeline stages that suit the GPU.

    Consumer cards have 99 KiB of shared memory a block, data-centre cards 163 and more.
    """
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    if capability in ((8, 0), (9, 0)):
        return 128, 256, 64, 8, 4 if capability == (9, 0) else 3
    return 128, 128, 32, 4, 4
