import torch

from core.model.norm import RMSNorm, rms_normalise


def test_the_root_mean_square_becomes_the_gain():
    # (3, 4, 0, 0): mean square 25 / 4, root 2.5.
    x = torch.tensor([3.0, 4.0, 0.0, 0.0])
    torch.testing.assert_close(rms_normalise(x), x / 2.5)
    norm = RMSNorm(4)
    norm.weight.data = torch.tensor([1.0, 2.0, 1.0, 1.0])
    torch.testing.assert_close(norm(x), torch.tensor([1.2, 3.2, 0.0, 0.0]))


def test_it_is_computed_in_float32_whatever_the_formats():
    norm = RMSNorm(64).bfloat16()
    x = torch.randn(3, 64)
    assert torch.equal(norm(x), rms_normalise(x))
    assert norm(x.bfloat16()).dtype == rms_normalise(x.bfloat16()).dtype == torch.float32
