import torch

from core.model.dense import DenseFeedForward
from core.model.feed_forward import feed_forward
from core.model.moe import MixtureOfExperts
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig

CONFIG = ModelConfig(
    vocab_size=10,
    hidden_size=8,
    dropout=0.0,
    attention=AttentionConfig(num_heads=2),
    feed_forward=FeedForwardConfig(
        layer_pattern=("dense", "experts", "experts"), hidden_size=12, dense_hidden_size=20
    ),
)


def test_the_pattern_is_repeated_over_the_layers():
    kinds = [type(feed_forward(CONFIG, layer)) for layer in range(5)]
    assert kinds == [
        DenseFeedForward,
        MixtureOfExperts,
        MixtureOfExperts,
        DenseFeedForward,
        MixtureOfExperts,
    ]


def test_a_dense_layer_has_its_own_width():
    dense = feed_forward(CONFIG, 0)
    shapes = {name: tuple(p.shape) for name, p in dense.named_parameters()}
    assert shapes == {"up.weight": (20, 8), "down.weight": (8, 20)}


def test_both_kinds_return_the_stream_and_a_float32_scalar():
    x = torch.randn(2, 3, 8)
    for layer in (0, 1):
        module = feed_forward(CONFIG, layer)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output, auxiliary = module(x)
        assert output.shape == x.shape
        assert auxiliary.shape == ()
        assert auxiliary.dtype == torch.float32
