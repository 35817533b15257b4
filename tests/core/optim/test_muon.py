import pytest
import torch
from torch import nn

from core.optim.muon import Muon, Rates, Stack, UpdateRule, update_stack
from core.optim.orthogonalize import orthogonalize
from core.schema.optimizer_config import MuonConfig


def muon(parameters, rate=0.1, **changes):
    settings = {"momentum": 0.9, "weight_decay": 0.0, "learning_rate": rate}
    return Muon(parameters, MuonConfig(**(settings | changes)))


class Reference:
    """Muon as it is written down: one matrix after another, float32, no trick."""

    def __init__(self, matrix, rate, config, gradient_scale=1.0):
        self.matrix = matrix.clone().float()
        self.buffer = torch.zeros_like(self.matrix)
        self.row_squares = torch.zeros(matrix.shape[0])
        self.rate, self.config, self.scale = rate, config, gradient_scale

    def step(self, gradient):
        config = self.config
        gradient = gradient * self.scale
        self.buffer = config.momentum * self.buffer + (1 - config.momentum) * gradient
        update = self.buffer
        if config.nesterov:
            update = (1 - config.momentum) * gradient + config.momentum * self.buffer
        update = orthogonalize(update[None], config.newton_schulz_steps, config.coefficients)[0]
        if config.neuron_norm:
            beta = config.neuron_norm_beta
            old_norm = update.norm()
            for row in range(update.shape[0]):
                square = (update[row] ** 2).mean()
                self.row_squares[row] = beta * self.row_squares[row] + (1 - beta) * square
                update[row] /= self.row_squares[row].sqrt()
            update = update * old_norm / update.norm()
        rows, columns = self.matrix.shape
        decay = torch.full_like(self.matrix, self.rate * config.weight_decay)
        if config.cautious_weight_decay:
            decay[torch.sign(update) * torch.sign(self.matrix) < 0] = 0.0
        shrunk = self.matrix - decay * self.matrix
        self.matrix = shrunk - self.rate * (rows / columns if rows > columns else 1) ** 0.5 * update


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nesterov": False, "weight_decay": 0.5},
        {"coefficients": "polar_express", "newton_schulz_steps": 7},
        {"neuron_norm": True, "neuron_norm_beta": 0.7},
        {"weight_decay": 2.0, "cautious_weight_decay": True},
        {"neuron_norm": True, "weight_decay": 1.0, "cautious_weight_decay": True},
    ],
)
def test_stacks_and_matrices_of_mixed_shapes_follow_the_written_rule(changes):
    torch.manual_seed(0)
    config = MuonConfig(**({"momentum": 0.8} | changes))
    parameters = [nn.Parameter(torch.randn(shape)) for shape in [(6, 4), (3, 6, 4), (4, 6), (6, 4)]]
    matrices = [m for p in parameters for m in p.data.reshape(-1, *p.shape[-2:])]
    references = [Reference(matrix, 0.05, config, 0.25) for matrix in matrices]
    optimizer = Muon(parameters, config)
    optimizer.rates.learning_rate.fill_(0.05)
    optimizer.rates.gradient_scale.fill_(0.25)
    for _ in range(4):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape)
        gradients = [g for p in parameters for g in p.grad.reshape(-1, *p.shape[-2:])]
        optimizer.step()
        for reference, gradient in zip(references, gradients, strict=True):
            reference.step(gradient)
    updated = [m for p in parameters for m in p.data.reshape(-1, *p.shape[-2:])]
    for matrix, reference in zip(updated, references, strict=True):
        torch.testing.assert_close(matrix, reference.matrix, rtol=1e-3, atol=1e-4)


def test_one_step_is_the_written_update():
    torch.manual_seed(0)
    weight, gradient = torch.randn(8, 2), torch.randn(8, 2)
    parameter = nn.Parameter(weight.clone())
    parameter.grad = gradient.clone()
    muon([parameter], weight_decay=0.5).step()
    # momentum = 0.1 g; nesterov = 0.1 g + 0.9 × 0.1 g: the direction of g; scale sqrt(8 / 2) = 2.
    direction = orthogonalize(gradient[None], 5, "quintic")[0]
    expected = weight * (1 - 0.1 * 0.5) - 0.1 * 2 * direction
    torch.testing.assert_close(parameter.data, expected, rtol=1e-4, atol=1e-5)


def test_neuron_norm_evens_rows_and_keeps_the_norm():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(4, 8))
    plain = nn.Parameter(torch.zeros(4, 8))
    # One iteration leaves rows of unequal size.
    gradient = torch.randn(4, 8) * torch.tensor([[1.0], [0.1], [0.5], [2.0]])
    weight.grad, plain.grad = gradient.clone(), gradient.clone()
    muon([weight], neuron_norm=True, newton_schulz_steps=1).step()
    muon([plain], newton_schulz_steps=1).step()
    rows = weight.detach().norm(dim=1)
    torch.testing.assert_close(rows, rows.mean().expand(4))
    assert plain.detach().norm(dim=1).max() > 2 * plain.detach().norm(dim=1).min()
    torch.testing.assert_close(weight.detach().norm(), plain.detach().norm())


def test_bfloat16_weights_are_updated_in_float32_and_rounded_once():
    torch.manual_seed(0)
    weight, gradient = torch.randn(4, 6).bfloat16(), torch.randn(4, 6).bfloat16()
    narrow, wide = nn.Parameter(weight.clone()), nn.Parameter(weight.float())
    narrow.grad, wide.grad = gradient, gradient.float()
    for parameter in (narrow, wide):
        muon([parameter], weight_decay=0.1, neuron_norm=True).step()
    assert narrow.dtype == torch.bfloat16
    assert torch.equal(narrow.data, wide.data.bfloat16())


def test_the_compiled_update_equals_the_eager_one():
    def stack():
        torch.manual_seed(0)
        tensors = [[torch.randn(2, 4, 6), torch.randn(4, 6)] for _ in range(3)]
        return Stack(*tensors, [torch.rand(2, 4, 1), torch.rand(4, 1)])

    rule = UpdateRule(torch.float32, True, 5, "quintic", 0.9, 0.1, True)
    rates = Rates(*(torch.tensor(value) for value in (0.1, 0.9, 0.5)))
    eager, compiled = stack(), stack()
    update_stack(eager, rates, rule)
    # Graph capture alone; inductor would need a compiler for the processor.
    torch.compile(update_stack, backend="aot_eager", fullgraph=True, dynamic=False)(
        compiled, rates, rule
    )
    for expected, actual in zip(eager, compiled, strict=True):
        torch.testing.assert_close(actual, expected)


def test_parameters_without_gradient_stay():
    parameter = nn.Parameter(torch.ones(4, 4))
    muon([parameter]).step()
    assert torch.equal(parameter.data, torch.ones(4, 4))
