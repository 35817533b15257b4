"""Rotary position embedding (RoFormer, arXiv:2104.09864).

Shape suffixes: B batch, T time, H heads, D head channels.
"""

import torch
from torch import Tensor, nn


class RotaryEmbedding(nn.Module):
    """Turns pairs of channels (d, d + R/2) by an angle that grows with the position.

    R = `rotary_dim` channels carry the position, the first of a head; the rest pass as they are
    (GPT-NeoX, arXiv:2204.06745).
    """

    cos_TD: Tensor
    sin_TD: Tensor

    def __init__(self, rotary_dim: int, max_sequence_length: int, base: float) -> None:
        super().__init__()
        self.rotary_dim = rotary_dim
        frequency_D = base ** (-torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim)
        angle_TD = torch.outer(torch.arange(max_sequence_length, dtype=torch.float64), frequency_D)
        self.register_buffer("cos_TD", angle_TD.cos().float(), persistent=False)
        self.register_buffer("sin_TD", angle_TD.sin().float(), persistent=False)

    def forward(self, x_BTHD: Tensor) -> Tensor:
        """Rotate queries or keys; computed in float32, returned in the input's dtype."""
        length = x_BTHD.size(1)
        cos_T1D = self.cos_TD[:length, None]
        sin_T1D = self.sin_TD[:length, None]
        first_BTHD, second_BTHD = x_BTHD[..., : self.rotary_dim].float().chunk(2, dim=-1)
        parts = [
            first_BTHD * cos_T1D - second_BTHD * sin_T1D,
            second_BTHD * cos_T1D + first_BTHD * sin_T1D,
        ]
        if self.rotary_dim < x_BTHD.size(-1):
            parts.append(x_BTHD[..., self.rotary_dim :].float())
        return torch.cat(parts, dim=-1).type_as(x_BTHD)
