import math
from itertools import pairwise

import pytest
import torch

from core.kernels.grouped_matmul import grouped_matmul
from core.model import moe as moe_module
from core.model.moe import MixtureOfExperts
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig

ACTIVATIONS = ["silu", "gelu", "squared_relu", "swiglu"]


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


def network(kind, x_C, up_FC, down_CF):
    """Two matrices with a non-linearity from its definition; for swiglu gates come first."""
    hidden = up_FC @ x_C
    if kind == "swiglu":
        gate, value = hidden[: len(hidden) // 2], hidden[len(hidden) // 2 :]
        return down_CF @ (gate / (1 + (-gate).exp()) * value)
    if kind == "squared_relu":
        return down_CF @ (hidden * hidden * (hidden > 0))
    scale = (1 + (hidden / math.sqrt(2)).erf()) / 2 if kind == "gelu" else hidden.sigmoid()
    return down_CF @ (hidden * scale)


def one_token_at_a_time(moe, x_BTC):
    """The definition: loop over tokens and their choices."""
    settings = moe.config
    rows = []
    for x_C in x_BTC.flatten(0, 1):
        logits = moe.router.gate.weight @ x_C
        ranked = sorted(range(len(logits)), key=lambda index: -logits[index].item())
        chosen = ranked[: settings.experts_per_token]
        scores = logits.exp() if settings.router_scores == "softmax" else logits.sigmoid()
        output = torch.zeros_like(x_C)
        for index in chosen:
            weight = scores[index] / sum(scores[other] for other in chosen)
            if index < settings.num_experts:
                expert = moe.up_EFC[index], moe.down_ECF[index]
                output = output + weight * network(settings.activation, x_C, *expert)
            elif settings.zero_compute_kind == "copy":
                output = output + weight * x_C
        if settings.shared_experts:
            shared = moe.shared.up.weight, moe.shared.down.weight
            output = output + network(settings.activation, x_C, *shared)
        rows.append(output)
    return torch.stack(rows).view_as(x_BTC)


def assert_equals_the_definition(moe):
    x = torch.randn(2, 9, 8, requires_grad=True)
    upstream = torch.randn(2, 9, 8)
    inputs = (x, *moe.parameters())
    fast, _ = moe(x)
    slow = one_token_at_a_time(moe, x)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(
        torch.autograd.grad((fast * upstream).sum(), inputs),
        torch.autograd.grad((slow * upstream).sum(), inputs, materialize_grads=True),
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("experts_per_token", [1, 2, 4])
def test_output_and_gradients_are_those_of_the_definition(activation, experts_per_token):
    moe = layer(config(activation=activation, experts_per_token=experts_per_token))
    assert_equals_the_definition(moe)


@pytest.mark.parametrize(
    "changes",
    [
        {"router_scores": "sigmoid"},
        {"balancing": "bias"},
        {"shared_experts": 2},
        {"shared_experts": 1, "activation": "swiglu"},
        {"zero_compute_experts": 2},
        {"zero_compute_experts": 2, "zero_compute_kind": "copy"},
        {"zero_compute_experts": 8, "zero_compute_kind": "copy", "experts_per_token": 3},
        {
            "activation": "swiglu",
            "balancing": "bias",
            "experts_per_token": 3,
            "router_scores": "sigmoid",
            "router_z_loss_weight": 0.1,
            "shared_experts": 1,
            "zero_compute_experts": 3,
            "zero_compute_kind": "copy",
        },
    ],
    ids=lambda changes: "-".join(f"{value}" for value in changes.values()),
)
def test_each_setting_does_what_its_definition_says(changes):
    assert_equals_the_definition(layer(config(**changes)))


class UnwrittenRows(torch.autograd.Function):
    """A grouped product that, as the kernel does, leaves rows past the last group unwritten."""

    @staticmethod
    def forward(ctx, x, weight, ends):
        ctx.save_for_backward(x, weight, ends)
        size = int(ends[-1])
        unwritten = x.new_full((len(x) - size, weight.shape[1]), torch.nan)
        return torch.cat((grouped_matmul(x[:size], weight, ends), unwritten))

    @staticmethod
    def backward(ctx, gradient):
        x, weight, ends = ctx.saved_tensors
        size = int(ends[-1])
        unwritten = torch.full_like(x[size:], torch.nan)
        towards_x = grouped_matmul(gradient[:size], weight.mT, ends)
        starts = [0, *ends.tolist()]
        towards_weight = [gradient[start:end].T @ x[start:end] for start, end in pairwise(starts)]
        return torch.cat((towards_x, unwritten)), torch.stack(towards_weight), None


@pytest.mark.parametrize("kind", ["zero", "copy"])
@pytest.mark.parametrize("experts_per_token", [1, 3])
def test_what_the_kernel_never_wrote_never_leaks(kind, experts_per_token, monkeypatch):
    monkeypatch.setattr(moe_module, "grouped_matmul", UnwrittenRows.apply)
    monkeypatch.setattr(moe_module, "is_fused", lambda _: True)
    moe = layer(
        config(
            activation="swiglu",
            zero_compute_experts=3,
            zero_compute_kind=kind,
            experts_per_token=experts_per_token,
        )
    )
    assert_equals_the_definition(moe)


@pytest.mark.parametrize("skips", [True, False])
def test_zero_compute_experts_alone_leave_the_real_ones_without_gradient(skips, monkeypatch):
    if skips:
        monkeypatch.setattr(moe_module, "grouped_matmul", UnwrittenRows.apply)
        monkeypatch.setattr(moe_module, "is_fused", lambda _: True)
    moe = layer(config(zero_compute_experts=2, zero_compute_kind="copy"))
    with torch.no_grad():
        # Choices 4 and 5 win for every token whose channels are positive.
        moe.router.gate.weight[:4].fill_(-1.0)
        moe.router.gate.weight[4:].fill_(1.0)
    x = torch.rand(1, 6, 8)
    output, _ = moe(x)
    torch.testing.assert_close(output, x)
    output.sum().backward()
    assert not moe.up_EFC.grad.any()
    assert not moe.down_ECF.grad.any()


def test_zeroed_outputs_leave_copies_alone():
    moe = layer(config(shared_experts=1))
    moe.zero_output()
    assert not moe(torch.randn(2, 5, 8))[0].any()
    copying = layer(config(zero_compute_experts=4, zero_compute_kind="copy"))
    copying.zero_output()
    assert copying(torch.randn(2, 5, 8))[0].any()


def test_the_default_has_the_same_parameters_as_ever():
    shapes = [(name, tuple(p.shape)) for name, p in layer(config()).named_parameters()]
    assert shapes == [
        ("up_EFC", (4, 12, 8)),
        ("down_ECF", (4, 8, 12)),
        ("router.gate.weight", (4, 8)),
    ]


def test_swiglu_doubles_the_first_matrix_and_shared_experts_are_one_wide_network():
    moe = layer(config(activation="swiglu", shared_experts=3, zero_compute_experts=2))
    shapes = [(name, tuple(p.shape)) for name, p in moe.named_parameters()]
    assert shapes == [
        ("up_EFC", (4, 24, 8)),
        ("down_ECF", (4, 8, 12)),
        ("router.gate.weight", (6, 8)),
        ("shared.up.weight", (72, 8)),
        ("shared.down.weight", (8, 36)),
    ]


def test_matrix_products_follow_autocast_and_the_sum_is_float32():
    moe = layer(config(shared_experts=1, zero_compute_experts=1, activation="swiglu"))
    x = torch.randn(2, 9, 8, requires_grad=True)
    exact, _ = moe(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, _ = moe(x)
    assert rounded.dtype == torch.float32
    error = (rounded - exact).norm() / exact.norm()
    assert 1e-5 < error.item() < 2e-2
    (gradient,) = torch.autograd.grad(rounded.sum(), x)
    assert gradient.dtype == torch.float32
    assert gradient.isfinite().all()


def test_a_tokens_output_does_not_depend_on_the_others():
    moe = layer(config(zero_compute_experts=2, zero_compute_kind="copy"))
    x = torch.randn(1, 6, 8)
    alone, _ = moe(x[:, 2:3])
    together, _ = moe(x)
    torch.testing.assert_close(together[:, 2:3], alone)


def test_grouped_product_skips_empty_groups():
    x, weight = torch.randn(5, 3), torch.randn(4, 2, 3)
    product = grouped_matmul(x, weight, torch.tensor([2, 2, 5, 5], dtype=torch.int32))
    torch.testing.assert_close(product, torch.cat((x[:2] @ weight[0].T, x[2:] @ weight[2].T)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_grouped_kernel_agrees_with_float32():
    torch.manual_seed(0)
    x, weight = torch.randn(1000, 64, device="cuda"), torch.randn(4, 128, 64, device="cuda")
    ends = torch.tensor([100, 100, 700, 1000], dtype=torch.int32, device="cuda")
    fast = grouped_matmul(x.bfloat16(), weight, ends).float()
    slow = grouped_matmul(x, weight, ends)
    assert ((fast - slow).norm() / slow.norm()).item() < 1e-2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["zero", "copy"])
def test_zero_compute_experts_on_the_kernel_agree_with_float32(kind):
    settings = {"hidden_size": 64, "zero_compute_experts": 3, "zero_compute_kind": kind}
    model_config = config(**settings).model_copy(update={"hidden_size": 32})
    moe = layer(model_config).cuda()
    x = torch.randn(4, 100, 32, device="cuda", requires_grad=True)
    inputs = (x, moe.up_EFC, moe.down_ECF)
    exact, _ = moe(x)
    exact_gradients = torch.autograd.grad(exact.square().sum(), inputs)
    # Memory that the kernel does not write is likely to be this, freed just before.
    for _ in range(4):
        torch.full((1 << 20,), torch.nan, device="cuda", dtype=torch.bfloat16)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        fast, _ = moe(x)
    fast_gradients = torch.autograd.grad(fast.square().sum(), inputs)
    pairs = zip((fast, *fast_gradients), (exact, *exact_gradients), strict=True)
    for ours, reference in pairs:
        assert ((ours - reference).norm() / reference.norm()).item() < 3e-2
