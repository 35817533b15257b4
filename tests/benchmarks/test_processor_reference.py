"""The plain reference computes what the project computes; shape suffixes as there."""

import torch

from benchmarks.processor_reference import (
    masked_experts,
    newton_schulz,
    processor_reference,
    update_matrix_by_matrix,
)
from core.model.moe import MixtureOfExperts
from core.model.transformer import Transformer
from core.optim.muon import Rates, Stack, UpdateRule, update_stack
from core.optim.orthogonalize import orthogonalize
from core.optim.param_groups import build_optimizers
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig
from core.schema.optimizer_config import OptimizerConfig
from core.train import learner


def layer_config():
    return ModelConfig(
        vocab_size=10,
        hidden_size=8,
        num_layers=1,
        dropout=0.0,
        attention=AttentionConfig(num_heads=1),
        feed_forward=FeedForwardConfig(hidden_size=12, num_experts=3, experts_per_token=2),
    )


def layer():
    torch.manual_seed(0)
    moe = MixtureOfExperts(layer_config())
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter)
    return moe.eval()


def test_a_loop_over_masks_gives_the_layers_output_and_gradients():
    moe = layer()
    x_BTC = torch.randn(2, 5, 8)
    upstream_BTC = torch.randn(2, 5, 8)
    results = []
    for forward in (MixtureOfExperts.forward, masked_experts):
        x = x_BTC.clone().requires_grad_()
        output, auxiliary = forward(moe, x)
        loss = (output * upstream_BTC).sum() + auxiliary
        gradients = torch.autograd.grad(loss, [x, *moe.parameters()])
        results.append((output, auxiliary, *gradients))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_an_update_matrix_by_matrix_is_that_of_the_stack():
    rates = Rates(torch.tensor(0.1), torch.tensor(0.9), torch.tensor(0.5))
    rule = UpdateRule(torch.float32, True, 5, "quintic", 0.0, 0.0, False)
    moved = []
    for update in (update_stack, update_matrix_by_matrix):
        torch.manual_seed(0)
        shapes = [(6, 4), (3, 6, 4)]
        tensors = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
        update(Stack(*tensors, mean_squares=[]), rates, rule)
        weights, _, momenta = tensors
        moved.append([*weights, *momenta])
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-5)


def test_newton_schulz_is_that_of_the_optimizer():
    torch.manual_seed(0)
    matrix_MN = torch.randn(7, 3)
    expected_SMN = orthogonalize(matrix_MN[None], 5, "quintic")
    torch.testing.assert_close(newton_schulz(matrix_MN, 5)[None], expected_SMN)


def test_within_the_block_models_and_optimizers_are_plain():
    model = Transformer(layer_config(), max_sequence_length=8)
    with processor_reference():
        assert MixtureOfExperts.forward is masked_experts
        optimizers = learner.build_optimizers(model, OptimizerConfig(), update_stack)
    assert optimizers.muon._update is update_matrix_by_matrix
    assert optimizers.adamw.param_groups[0]["fused"] is False
    assert MixtureOfExperts.forward is not masked_experts
    assert learner.build_optimizers is build_optimizers
