import pytest
import torch
from torch import nn

from core.optim.clipping import clip_coefficient, gradient_norm


def test_the_norm_is_that_of_all_gradients_together():
    parameters = [
        nn.Parameter(torch.zeros(2)),
        nn.Parameter(torch.zeros(1, 1)),
        nn.Parameter(torch.zeros(1)),
    ]
    parameters[0].grad = torch.tensor([3.0, 0.0])
    parameters[1].grad = torch.tensor([[4.0]])
    assert gradient_norm(parameters).item() == 5.0


def test_bfloat16_gradients_have_a_float32_norm():
    parameter = nn.Parameter(torch.zeros(257, dtype=torch.bfloat16))
    parameter.grad = torch.ones(257, dtype=torch.bfloat16)
    assert gradient_norm([parameter]).item() == pytest.approx(257**0.5)


@pytest.mark.parametrize(("norm", "expected"), [(4.0, 0.25), (1.0, 1.0), (0.5, 1.0), (0.0, 1.0)])
def test_only_a_longer_gradient_is_scaled_down(norm, expected):
    assert clip_coefficient(torch.tensor(norm), 1.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("largest", [0.1, 1e6])
def test_the_coefficient_is_that_of_pytorch(largest):
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.zeros(5, 3)) for _ in range(2))
    ours.grad = torch.randn(5, 3)
    theirs.grad = ours.grad.clone()
    norm = nn.utils.clip_grad_norm_([theirs], largest)
    assert gradient_norm([ours]).item() == norm.item()
    assert torch.equal(ours.grad * clip_coefficient(norm, largest), theirs.grad)
