"""Activation and dropout in one pass, in Triton; the mask is drawn again for the gradient.

Shape suffixes: M rows, F channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256
"""Groups of eight elements a program; each group takes four random words."""
_KINDS = {"silu": 0, "gelu": 1, "squared_relu": 2}


@triton.jit
def _kept(seed_ptr, groups, threshold, BLOCK: tl.constexpr):
    """Which of 8 × BLOCK elements are kept: 16 bits of Philox (7 rounds) for each."""
    seed = tl.load(seed_ptr)
    a, b, c, d = tl.randint4x(seed, groups, 7)
    words = tl.join(tl.join(a, b), tl.join(c, d)).to(tl.uint32, bitcast=True)
    halves = tl.join(words & 0xFFFF, words >> 16)
    return tl.reshape(halves, (BLOCK * 8,)) >= threshold


@triton.jit
def _value(x, KIND: tl.constexpr):
    if KIND == 0:
        y = x * tl.sigmoid(x)
    elif KIND == 1:
        y = 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    else:
        positive = tl.maximum(x, 0.0)
        y = positive * positive
    return y


@triton.jit
def _slope(x, KIND: tl.constexpr):
    if KIND == 0:
        gate = tl.sigmoid(x)
        y = gate * (1 + x * (1 - gate))
    elif KIND == 1:
        density = 0.3989422804014327 * tl.exp(-0.5 * x * x)
        y = 0.5 * (1 + tl.erf(x * 0.7071067811865476)) + x * density
    else:
        y = 2 * tl.maximum(x, 0.0)
    return y


@triton.jit
def _forward_kernel(
    x_ptr, out_ptr, seed_ptr, size, threshold, scale, KIND: tl.constexpr, BLOCK: tl.constexpr
):
    block = tl.program_id(0).to(tl.int64)
    elements = block * BLOCK * 8 + tl.arange(0, BLOCK * 8)
    kept = _kept(seed_ptr, block * BLOCK + tl.arange(0, BLOCK), threshold, BLOCK)
    x = tl.load(x_ptr + elements, mask=elements < size, other=0.0).to(tl.float32)
    y = tl.where(kept, _value(x, KIND) * scale, 0.0)
    tl.store(out_ptr + elements, y.to(out_ptr.dtype.element_ty), mask=elements < size)


@triton.jit
def _backward_kernel(
    x_ptr,
    gradient_ptr,
    out_ptr,
    seed_ptr,
    size,
    threshold,
    scale,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
):
    block = tl.program_id(0).to(tl.int64)
    elements = block * BLOCK * 8 + tl.arange(0, BLOCK * 8)
    kept = _kept(seed_ptr, block * BLOCK + tl.arange(0, BLOCK), threshold, BLOCK)
    x = tl.load(x_ptr + elements, mask=elements < size, other=0.0).to(tl.float32)
    gradient = tl.load(gradient_ptr + elements, mask=elements < size, other=0.0).to(tl.float32)
    y = tl.where(kept, gradient * _slope(x, KIND) * scale, 0.0)
    tl.store(out_ptr + elements, y.to(out_ptr.dtype.element_ty), mask=elements < size)


def activate_and_drop(x_MF: Tensor, seed: Tensor, kind: str, dropout: float) -> Tensor:
    """Activation, then dropout with a mask that the seed, an int64 scalar, decides."""
    x_MF = x_MF.contiguous()
    out_MF = torch.empty_like(x_MF)
    grid, threshold, scale = _launch(x_MF, dropout)
    _forward_kernel[grid](
        x_MF, out_MF, seed, x_MF.numel(), threshold, scale, KIND=_KINDS[kind], BLOCK=_BLOCK
    )
    return out_MF


def activate_and_drop_backward(
    gradient_MF: Tensor, x_MF: Tensor, seed: Tensor, kind: str, dropout: float
) -> Tensor:
    """Gradient of `activate_and_drop` with respect to its input."""
    x_MF, gradient_MF = x_MF.contiguous(), gradient_MF.contiguous()
    out_MF = torch.empty_like(x_MF)
    grid, threshold, scale = _launch(x_MF, dropout)
    _backward_kernel[grid](
        x_MF,
        gradient_MF,
        out_MF,
        seed,
        x_MF.numel(),
        threshold,
        scale,
        KIND=_KINDS[kind],
        BLOCK=_BLOCK,
    )
    return out_MF


def _launch(x_MF: Tensor, dropout: float) -> tuple[tuple[int], int, float]:
    """Grid, and dropout as a 16-bit threshold with the scale that belongs to it exactly."""
    threshold = min(65_535, round(dropout * 65_536))
    return (triton.cdiv(x_MF.numel(), _BLOCK * 8),), threshold, 65_536 / (65_536 - threshold)
