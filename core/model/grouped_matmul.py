"""One matrix product for each group of consecutive rows.

Shape suffixes: N rows, I input channels, O output channels, E groups.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grouped_matmul(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """Multiply rows ends[e - 1] to ends[e] of `x` by the transpose of `weight[e]`; [N, O].

    On CUDA in bfloat16 it is one kernel and never synchronises; elsewhere one product a group.

    Args:
        ends_E: int32, where each group ends; the last entry is N.
    """
    if x_NI.is_cuda and x_NI.dtype == torch.bfloat16:
        return F.grouped_mm(x_NI, weight_EOI.to(torch.bfloat16).mT, offs=ends_E)
    sizes = torch.diff(ends_E, prepend=ends_E.new_zeros(1)).tolist()
    groups = zip(x_NI.split(sizes), weight_EOI.type_as(x_NI).unbind(), strict=True)
    return torch.cat([rows_NI @ weight_OI.mT for rows_NI, weight_OI in groups])
