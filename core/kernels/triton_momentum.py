"""Muon's momentum in one pass, in Triton: gradient in, momentum moved, stack written."""

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096


@triton.jit
def _kernel(
    gradient_ptr,
    momentum_ptr,
    out_ptr,
    decay_ptr,
    scale_ptr,
    size,
    NESTEROV: tl.constexpr,
    BLOCK: tl.constexpr,
):
    elements = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = elements < size
    decay = tl.load(decay_ptr)
    gradient = tl.load(gradient_ptr + elements, mask=mask).to(tl.float32) * tl.load(scale_ptr)
    momentum = tl.load(momentum_ptr + elements, mask=mask).to(tl.float32)
    momentum = gradient + decay * (momentum - gradient)
    tl.store(momentum_ptr + elements, momentum.to(momentum_ptr.dtype.element_ty), mask=mask)
    if NESTEROV:
        momentum = gradient + decay * (momentum - gradient)
    tl.store(out_ptr + elements, momentum.to(out_ptr.dtype.element_ty), mask=mask)


def accelerate_(
    gradient: Tensor, momentum: Tensor, out: Tensor, decay: Tensor, scale: Tensor, nesterov: bool
) -> None:
    """Move the momentum towards scale × gradient and write what is to be orthogonalised.

    All three tensors are contiguous and of one size; the arithmetic is float32.

    Args:
        decay: float32 scalar.
        scale: float32 scalar.
    """
    size = gradient.numel()
    _kernel[(triton.cdiv(size, _BLOCK),)](
        gradient, momentum, out, decay, scale, size, NESTEROV=nesterov, BLOCK=_BLOCK
    )
