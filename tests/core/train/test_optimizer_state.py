import torch
from torch import nn

from core.train.optimizer_state import load_optimizer_state, optimizer_state


def trained(learning_rate):
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = torch.optim.AdamW([{"params": [model.weight]}], lr=learning_rate)
    return model, optimizer


def step(model, optimizer):
    model.weight.grad = torch.tensor([[1.0, -2.0]])
    optimizer.step()


def test_what_was_learnt_is_put_back():
    model, optimizer = trained(0.1)
    step(model, optimizer)
    other_model, other = trained(0.1)
    load_optimizer_state(other_model, other, optimizer_state(model, optimizer, keep=True))
    loaded = other.state[other_model.weight]
    assert loaded["step"] == 1
    # (1 - 0.9) of the gradient.
    torch.testing.assert_close(loaded["exp_avg"], torch.tensor([[0.1, -0.2]]))


def test_a_learning_rate_that_is_a_tensor_is_the_same_tensor_afterwards():
    model, optimizer = trained(0.1)
    step(model, optimizer)
    other_model, other = trained(0.1)
    rate = torch.tensor(0.0)
    other.param_groups[0]["lr"] = rate
    load_optimizer_state(other_model, other, optimizer_state(model, optimizer, keep=True))
    assert other.param_groups[0]["lr"] is rate
    rate.fill_(0.5)
    step(other_model, other)
    assert (other_model.weight != 1.0).all()
