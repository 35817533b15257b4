import pytest
import torch

from core.model.dense import DenseFeedForward
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig


def network(activation, dropout=0.0):
    config = ModelConfig(
        vocab_size=10,
        hidden_size=8,
        dropout=dropout,
        attention=AttentionConfig(num_heads=2),
        feed_forward=FeedForwardConfig(activation=activation),
    )
    torch.manual_seed(0)
    return DenseFeedForward(config, 6)


@pytest.mark.parametrize("activation", ["silu", "swiglu"])
def test_output_and_gradients_are_those_of_the_definition(activation):
    dense = network(activation)
    x = torch.randn(2, 3, 8, requires_grad=True)
    upstream = torch.randn(2, 3, 8)
    inputs = (x, dense.up.weight, dense.down.weight)
    ours, auxiliary = dense(x)
    gate = x @ dense.up.weight[:6].T
    hidden = gate / (1 + (-gate).exp())
    if activation == "swiglu":
        hidden = hidden * (x @ dense.up.weight[6:].T)
    expected = hidden @ dense.down.weight.T
    torch.testing.assert_close(ours, expected)
    assert auxiliary.dtype == torch.float32
    assert auxiliary.item() == 0
    torch.testing.assert_close(
        torch.autograd.grad((ours * upstream).sum(), inputs),
        torch.autograd.grad((expected * upstream).sum(), inputs),
    )


def test_dropout_acts_on_hidden_channels_in_training_alone():
    dense = network("silu", dropout=0.5)
    with torch.no_grad():
        dense.up.weight.fill_(1.0)
        dense.down.weight.copy_(torch.eye(8)[:, :6])
    x = torch.full((1, 50, 8), 1.25)
    kept = dense(x)[0][..., :6]
    # silu(10) = 9.99955 is doubled or dropped.
    assert set(kept.round(decimals=2).flatten().tolist()) == {0.0, 20.0}
    assert set(dense.eval()(x)[0][..., :6].round(decimals=2).flatten().tolist()) == {10.0}


def test_a_zeroed_output_adds_nothing_and_can_learn():
    dense = network("swiglu")
    dense.zero_output()
    output, _ = dense(torch.randn(1, 5, 8))
    assert not output.any()
    output.sum().backward()
    assert dense.down.weight.grad.abs().sum() > 0
