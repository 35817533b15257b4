import torch

from core.model.transformer import Transformer
from core.optim.param_groups import build_optimizers, split_parameters
from core.schema.experiment import AttentionConfig, FeedForwardConfig, ModelConfig, OptimizerConfig

CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    num_layers=1,
    tie_embeddings=False,
    attention=AttentionConfig(num_heads=2, qk_norm=True),
    feed_forward=FeedForwardConfig(hidden_size=16, num_experts=2),
)


def test_muon_gets_hidden_matrices_and_expert_stacks_alone():
    model = Transformer(CONFIG, 8)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden, rest = split_parameters(model)
    assert [names[id(parameter)] for parameter in hidden] == [
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention.output.weight",
        "blocks.0.feed_forward.up_EFC",
        "blocks.0.feed_forward.down_ECF",
    ]
    assert len(hidden) + len(rest) == len(names)


def test_a_step_applies_the_factor_to_both_peaks_and_clears_gradients():
    torch.manual_seed(0)
    model = Transformer(CONFIG, 8)
    config = OptimizerConfig()
    optimizers = build_optimizers(model, config)
    model.losses(torch.randint(20, (2, 8)))[0].backward()
    optimizers.step(config, 0.25)
    assert optimizers.muon.param_groups[0]["lr"] == 0.25 * config.muon.learning_rate
    assert optimizers.adamw.param_groups[0]["lr"] == 0.25 * config.adamw.learning_rate
    assert all(parameter.grad is None for parameter in model.parameters())
