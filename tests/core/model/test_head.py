import math

import pytest
import torch

from core.model.head import (
    IGNORED,
    linear_cross_entropy,
    linear_logits,
    linear_scores,
)

# One channel, two tokens: an input x has the logits (2 x, 0).
WEIGHT = torch.tensor([[2.0], [0.0]])


def test_a_soft_cap_bends_logits_and_never_exceeds_the_cap():
    x = torch.tensor([[0.5], [-3.0], [1000.0]])
    expected = [3 * math.tanh(1 / 3), 3 * math.tanh(-2.0), 3.0]
    capped = linear_logits(x, WEIGHT, soft_cap=3.0)
    torch.testing.assert_close(capped[:, 0], torch.tensor(expected))
    assert torch.equal(capped[:, 1], torch.zeros(3))
    torch.testing.assert_close(linear_logits(x, WEIGHT, soft_cap=0.0), x @ WEIGHT.T)


@pytest.mark.parametrize(("soft_cap", "logit"), [(0.0, 2.0), (1.5, 1.5 * math.tanh(2 / 1.5))])
def test_loss_is_the_mean_over_targets_that_are_not_ignored(soft_cap, logit):
    x = torch.tensor([[1.0], [1.0], [5.0]])
    loss = linear_cross_entropy(x, WEIGHT, torch.tensor([0, 1, IGNORED]), soft_cap)
    right, wrong = math.log(1 + math.exp(-logit)), math.log(1 + math.exp(logit))
    assert loss.item() == pytest.approx((right + wrong) / 2, rel=1e-6)


def test_gradients_of_the_capped_loss_worked_by_hand():
    # loss = log(1 + exp(-z)) with z = c tanh(2 x / c), so dloss/dx = -(1 - p) (1 - tanh²) 2.
    x = torch.tensor([[1.0]], requires_grad=True)
    weight = WEIGHT.clone().requires_grad_()
    linear_cross_entropy(x, weight, torch.tensor([0]), soft_cap=1.5).backward()
    tanh = math.tanh(2 / 1.5)
    wrong = 1 / (1 + math.exp(1.5 * tanh))
    assert x.grad.item() == pytest.approx(-wrong * (1 - tanh**2) * 2, rel=1e-5)
    expected = torch.tensor([[-wrong * (1 - tanh**2)], [wrong]])
    torch.testing.assert_close(weight.grad, expected)


def test_scores_worked_by_hand():
    # Logits (0, log 3): probabilities 1/4 and 3/4.
    weight = torch.tensor([[0.0], [math.log(3.0)]])
    log_likelihood, is_top = linear_scores(torch.ones(2, 1), weight, torch.tensor([0, 1]), 0.0)
    torch.testing.assert_close(log_likelihood, torch.tensor([0.25, 0.75]).log())
    assert is_top.tolist() == [False, True]
    capped, _ = linear_scores(torch.ones(1, 1), weight, torch.tensor([1]), 0.5)
    logit = 0.5 * math.tanh(math.log(3.0) / 0.5)
    assert capped.item() == pytest.approx(-math.log(1 + math.exp(-logit)), rel=1e-6)


def test_under_autocast_logits_are_rounded_and_softmax_is_not():
    torch.manual_seed(0)
    x, weight = torch.randn(4, 8), torch.randn(16, 8)
    targets = torch.tensor([0, 3, 5, 15])
    rounded = (x.bfloat16() @ weight.bfloat16().T).double().log_softmax(-1)
    expected = rounded[range(4), targets.tolist()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(x, weight, targets, 0.0)
        log_likelihood, _ = linear_scores(x, weight, targets, 0.0)
    assert loss.dtype == log_likelihood.dtype == torch.float32
    assert loss.item() == pytest.approx(-expected.mean().item(), rel=1e-6)
    torch.testing.assert_close(log_likelihood.double(), expected, rtol=1e-6, atol=1e-6)
