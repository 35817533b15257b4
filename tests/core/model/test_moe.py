import pytest
import torch
import torch.nn.functional as F

from core.model.grouped_matmul import grouped_matmul
from core.model.moe import MixtureOfExperts
from core.model.router import TopKRouter
from core.schema.experiment import AttentionConfig, FeedForwardConfig, ModelConfig

ACTIVATIONS = {"silu": F.silu, "gelu": F.gelu, "squared_relu": lambda x: F.relu(x) ** 2}


def config(**changes):
    settings = {"hidden_size": 12, "num_experts": 4, "experts_per_token": 2, "router_noise": 0.0}
    return ModelConfig(
        vocab_size=10,
        hidden_size=8,
        dropout=0.0,
        attention=AttentionConfig(num_heads=2),
        feed_forward=FeedForwardConfig(**(settings | changes)),
    )


def layer(model_config):
    torch.manual_seed(0)
    moe = MixtureOfExperts(model_config)
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return moe


def one_token_at_a_time(moe, x_BTC, activation):
    """The definition: loop over tokens and their experts."""
    rows = []
    for x_C in x_BTC.flatten(0, 1):
        logits_E = moe.router.gate.weight @ x_C
        chosen_K, experts_K = logits_E.topk(moe.experts_per_token)
        weights_K = chosen_K.softmax(0)
        outputs = [
            weight * (moe.down_ECF[expert] @ activation(moe.up_EFC[expert] @ x_C))
            for weight, expert in zip(weights_K, experts_K.tolist(), strict=True)
        ]
        rows.append(torch.stack(outputs).sum(0))
    return torch.stack(rows).view_as(x_BTC)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("experts_per_token", [1, 2, 4])
def test_output_and_gradients_are_those_of_the_definition(activation, experts_per_token):
    moe = layer(config(activation=activation, experts_per_token=experts_per_token))
    x = torch.randn(2, 5, 8, requires_grad=True)
    upstream = torch.randn(2, 5, 8)
    inputs = (x, *moe.parameters())
    fast, _ = moe(x)
    slow = one_token_at_a_time(moe, x, ACTIVATIONS[activation])
    torch.testing.assert_close(fast, slow)
    for ours, reference in zip(
        torch.autograd.grad((fast * upstream).sum(), inputs),
        torch.autograd.grad((slow * upstream).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_stay_in_the_format_of_the_matrix_products(activation):
    moe = layer(config(activation=activation))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert moe._activate(torch.randn(3, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_a_tokens_output_does_not_depend_on_the_others():
    moe = layer(config())
    x = torch.randn(1, 6, 8)
    alone, _ = moe(x[:, 2:3])
    together, _ = moe(x)
    torch.testing.assert_close(together[:, 2:3], alone)


def test_grouped_product_skips_empty_groups():
    x, weight = torch.randn(5, 3), torch.randn(4, 2, 3)
    product = grouped_matmul(x, weight, torch.tensor([2, 2, 5, 5], dtype=torch.int32))
    torch.testing.assert_close(product, torch.cat((x[:2] @ weight[0].T, x[2:] @ weight[2].T)))


def test_load_balancing_loss_worked_by_hand():
    # Two tokens with logits (1, -1) and (-1, 1) or (1, -1) twice; p = sigmoid(2) = 0.8808.
    feed_forward = FeedForwardConfig(
        hidden_size=8,
        num_experts=2,
        experts_per_token=1,
        router_noise=0.0,
        load_balancing_weight=0.5,
    )
    router = TopKRouter(2, feed_forward).eval()
    router.gate.weight.data = torch.eye(2)
    even = router(torch.tensor([[1.0, -1.0], [-1.0, 1.0]])).load_balancing_loss
    uneven = router(torch.tensor([[1.0, -1.0], [1.0, -1.0]])).load_balancing_loss
    assert even.item() == pytest.approx(0.5 * 2 * (0.5 * 0.5 + 0.5 * 0.5))
    assert uneven.item() == pytest.approx(0.5 * 2 * 0.880797, rel=1e-5)


def test_noise_explores_in_training_alone():
    router = TopKRouter(8, FeedForwardConfig(num_experts=8, router_noise=5.0))
    x = torch.randn(64, 8)
    router.eval()
    assert torch.equal(router(x).experts_NK, router(x).experts_NK)
    router.train()
    assert not torch.equal(router(x).experts_NK, router(x).experts_NK)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_grouped_kernel_agrees_with_float32():
    torch.manual_seed(0)
    x, weight = torch.randn(1000, 64, device="cuda"), torch.randn(4, 128, 64, device="cuda")
    ends = torch.tensor([100, 100, 700, 1000], dtype=torch.int32, device="cuda")
    fast = grouped_matmul(x.bfloat16(), weight, ends).float()
    slow = grouped_matmul(x, weight, ends)
    assert ((fast - slow).norm() / slow.norm()).item() < 1e-2
