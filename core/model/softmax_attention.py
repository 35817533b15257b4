"""Softmax attention of queries over keys, by the kernel that suits mask and number format.

Shape suffixes: B batch, T time, H heads, D head channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from core.model.masking import Mask

BLOCK_HEAD_DIMS = range(16, 129)
"""Head channels for which `flex_attention` has kernels that fit the memory of every GPU."""


def softmax_attention(
    q_BTHD: Tensor, k_BTHD: Tensor, v_BTHD: Tensor, mask: Mask | None, dropout: float
) -> Tensor:
    """Attend from each position to those that its mask shows, or to all up to itself.

    Query head h takes key and value head h // (query heads / key heads).

    Args:
        q_BTHD: queries; H may be a multiple of the keys' and values' H.
        k_BTHD: keys, with the queries' D.
        v_BTHD: values, whose D is their own.
        mask: what is hidden; none for the future alone.
        dropout: probability that an attention weight is dropped; 0 under a mask.

    Returns:
        Attended values [B, T, H of the queries, D of the values].
    """
    assert mask is None or not dropout, "attention under a mask has no dropout"
    q_BHTD = q_BTHD.transpose(1, 2)
    if mask is not None and mask.blocks is not None and _has_block_kernel(q_BTHD, v_BTHD):
        attended_BHTD = flex_attention(
            q_BHTD,
            k_BTHD.transpose(1, 2),
            v_BTHD.transpose(1, 2),
            block_mask=mask.blocks,
            enable_gqa=q_BTHD.size(2) != k_BTHD.size(2),
        )
        assert isinstance(attended_BHTD, Tensor)
        return attended_BHTD.transpose(1, 2)
    grouped = q_BTHD.size(2) != k_BTHD.size(2)
    if grouped and (mask is not None or q_BTHD.dtype == torch.float32):
        # The fused kernels for explicit masks and for float32 know no shared heads.
        group_size = q_BTHD.size(2) // k_BTHD.size(2)
        k_BTHD = k_BTHD.repeat_interleave(group_size, dim=2)
        v_BTHD = v_BTHD.repeat_interleave(group_size, dim=2)
        grouped = False
    attended_BHTD = F.scaled_dot_product_attention(
        q_BHTD,
        k_BTHD.transpose(1, 2),
        v_BTHD.transpose(1, 2),
        attn_mask=None if mask is None else mask.dense_BHTT,
        dropout_p=dropout,
        is_causal=mask is None,
        enable_gqa=grouped,
    )
    return attended_BHTD.transpose(1, 2)


def _has_block_kernel(q_BTHD: Tensor, v_BTHD: Tensor) -> bool:
    """Whether `flex_attention` is the fast way for these heads.

    Its float32 kernels are slow, and larger than the shared memory of small GPUs.
    """
    return (
        q_BTHD.dtype == torch.bfloat16
        and q_BTHD.size(-1) in BLOCK_HEAD_DIMS
        and v_BTHD.size(-1) in BLOCK_HEAD_DIMS
    )
