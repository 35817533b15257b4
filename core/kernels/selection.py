"""Whether the fused operations are used, or the plain ones that they are tested against."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_plain = False


@contextmanager
def reference_path() -> Iterator[None]:
    """Compute everything with plain PyTorch operations, as a processor does."""
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before


def is_fused(x: Tensor) -> bool:
    """Whether there are fused operations for this tensor: bfloat16 on CUDA."""
    return has_kernels(x) and x.dtype == torch.bfloat16


def has_kernels(x: Tensor) -> bool:
    """Whether there are kernels of our own for where this tensor is."""
    return x.is_cuda and not _plain


def stream_format(x: Tensor) -> torch.dtype:
    """Number format of a residual stream where `x` is: that of products with kernels, or float32.

    Float32 on the plain path, whatever autocast says, so that fast losses are held against it.
    """
    return product_format(x) if has_kernels(x) else torch.float32


def product_format(x: Tensor) -> torch.dtype:
    """Number format of matrix products with `x`: autocast's, or its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
