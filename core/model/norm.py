"""Root-mean-square normalisation (arXiv:1910.07467), in float32.

Shape suffixes: C channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-6


class RMSNorm(nn.RMSNorm):
    """RMS norm over the last dimension with a learned gain, which starts at 1."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(num_channels, eps=NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to float32 [..., C], whatever the formats of input and gain."""
        # Input and gain of two formats would take PyTorch's slow path, with a warning.
        return F.rms_norm(x.float(), self.normalized_shape, self.weight.float(), self.eps)


def rms_normalise(x: Tensor) -> Tensor:
    """Divide [..., C] by the root mean square of its last dimension; no learned gain."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=NORM_EPSILON)
