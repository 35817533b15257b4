"""Softmax of wide rows in Triton: scores of their targets.

Shape suffixes: N rows, V entries.
"""

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 8192
_NUM_WARPS = 16


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _cap(logits, soft_cap, CAPPED: tl.constexpr):
    if CAPPED:
        logits = soft_cap * _tanh(logits / soft_cap)
    return logits


@triton.jit
def _statistics(row_ptr, size, soft_cap, CAPPED: tl.constexpr, BLOCK: tl.constexpr):
    """Largest logit and log-sum-exp of a row."""
    largest = float("-inf")
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, size, BLOCK):
        entries = start + tl.arange(0, BLOCK)
        logits = tl.load(row_ptr + entries, mask=entries < size, other=float("-inf"))
        logits = _cap(logits.to(tl.float32), soft_cap, CAPPED)
        logits = tl.where(entries < size, logits, float("-inf"))
        new = tl.maximum(largest, tl.max(logits, 0))
        total = total * tl.exp(largest - new) + tl.exp(logits - new)
        largest = new
    return largest, largest + tl.log(tl.sum(total, 0))


@triton.jit
def _scores_kernel(
    logits_ptr,
    targets_ptr,
    log_likelihood_ptr,
    is_top_ptr,
    size,
    soft_cap,
    CAPPED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Log-likelihood of a row's target, and whether it comes first among the highest logits."""
    row = tl.program_id(0).to(tl.int64)
    row_ptr = logits_ptr + row * size
    target = tl.load(targets_ptr + row)
    top, log_sum = _statistics(row_ptr, size, soft_cap, CAPPED, BLOCK)
    chosen = _cap(tl.load(row_ptr + target).to(tl.float32), soft_cap, CAPPED)
    tl.store(log_likelihood_ptr + row, chosen - log_sum)
    # Equal logits: the first wins, as in argmax, so look for an equal one before the target.
    earlier = tl.zeros((BLOCK,), tl.int32)
    if chosen == top:
        for start in range(0, target, BLOCK):
            entries = start + tl.arange(0, BLOCK)
            logits = tl.load(row_ptr + entries, mask=entries < target, other=float("-inf"))
            capped = _cap(logits.to(tl.float32), soft_cap, CAPPED)
            earlier += ((capped == top) & (entries < target)).to(tl.int32)
    first = (chosen == top) & (tl.sum(earlier, 0) == 0)
    tl.store(is_top_ptr + row, first.to(tl.int1))


def scores(
    logits_NV: Tensor,
    targets_N: Tensor,
    soft_cap: float,
    log_likelihood_N: Tensor,
    is_top_N: Tensor,
) -> None:
    """Write log p(target) in nats, float32, and whether the target has the highest logit, bool."""
    _scores_kernel[(logits_NV.size(0),)](
        logits_NV,
        targets_N,
        log_likelihood_N,
        is_top_N,
        logits_NV.size(1),
        soft_cap,
        CAPPED=soft_cap > 0,
        BLOCK=_BLOCK,
        num_warps=_NUM_WARPS,
    )
