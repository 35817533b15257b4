import math

import torch

from core.model.rope import RotaryEmbedding


def test_pairs_turn_by_position_times_frequency():
    # Head of 4: pairs (0, 2) and (1, 3), frequencies 1 and 100 ** -0.5 = 0.1.
    rotary = RotaryEmbedding(4, max_sequence_length=8, base=100.0)
    x = torch.zeros(1, 8, 1, 4)
    x[..., 0], x[..., 1] = 1.0, 1.0
    turned = rotary(x)[0, 3, 0]
    expected = [math.cos(3.0), math.cos(0.3), math.sin(3.0), math.sin(0.3)]
    torch.testing.assert_close(turned, torch.tensor(expected))


def test_channels_after_the_rotary_ones_pass():
    # Head of 6, 4 of them rotary: pairs (0, 2) and (1, 3), frequencies 1 and 0.1.
    rotary = RotaryEmbedding(4, max_sequence_length=8, base=100.0)
    x = torch.tensor([1.0, 0.0, 0.0, 1.0, 5.0, -7.0]).expand(1, 8, 1, 6)
    turned = rotary(x)[0, 3, 0]
    expected = [math.cos(3.0), -math.sin(0.3), math.sin(3.0), math.cos(0.3), 5.0, -7.0]
    torch.testing.assert_close(turned, torch.tensor(expected))


def test_scores_depend_on_distance_alone():
    torch.manual_seed(0)
    rotary = RotaryEmbedding(8, max_sequence_length=32, base=10_000.0)
    q = torch.randn(8).expand(1, 32, 1, 8)
    k = torch.randn(8).expand(1, 32, 1, 8)
    turned_q, turned_k = rotary(q)[0, :, 0], rotary(k)[0, :, 0]
    near = turned_q[5] @ turned_k[2]
    far = turned_q[30] @ turned_k[27]
    torch.testing.assert_close(near, far, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(turned_q.norm(dim=-1), q[0, :, 0].norm(dim=-1))
