import pytest
import torch
from torch import nn

from core.optim.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 4), (2, 4, 16)])
def test_singular_values_come_close_to_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), 5))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_directions_are_those_of_the_polar_factor():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 6)
    u, _, v = torch.linalg.svd(matrix)
    cosine = torch.nn.functional.cosine_similarity(
        orthogonalize(matrix, 12).flatten(), (u @ v).flatten(), dim=0
    )
    assert cosine > 0.97


def muon(parameters, **changes):
    settings = {
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "newton_schulz_steps": 5,
        "weight_decay": 0.0,
    }
    return Muon(parameters, **(settings | changes))


def test_one_step_is_the_written_update():
    torch.manual_seed(0)
    weight, gradient = torch.randn(8, 2), torch.randn(8, 2)
    parameter = nn.Parameter(weight.clone())
    parameter.grad = gradient.clone()
    muon([parameter], weight_decay=0.5).step()
    # momentum = 0.1 g; nesterov = 0.1 g + 0.9 × 0.1 g: the direction of g; scale sqrt(8 / 2) = 2.
    expected = weight * (1 - 0.1 * 0.5) - 0.1 * 2 * orthogonalize(gradient[None], 5)[0]
    torch.testing.assert_close(parameter.data, expected, rtol=1e-4, atol=1e-5)


def test_a_stack_is_updated_like_its_matrices():
    torch.manual_seed(0)
    stack = nn.Parameter(torch.randn(3, 4, 6))
    singles = [nn.Parameter(matrix.clone()) for matrix in stack.data]
    optimizers = [muon([stack]), muon(singles)]
    for _ in range(3):
        stack.grad = torch.randn(3, 4, 6)
        for single, gradient in zip(singles, stack.grad, strict=True):
            single.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(stack.data, torch.stack([single.data for single in singles]))


def test_parameters_without_gradient_stay():
    parameter = nn.Parameter(torch.ones(4, 4))
    muon([parameter]).step()
    assert torch.equal(parameter.data, torch.ones(4, 4))
