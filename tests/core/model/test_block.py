import pytest
import torch
from torch import nn

from core.model.block import Block
from core.model.masking import sequence_context
from core.schema.model_config import (
    AttentionConfig,
    FeedForwardConfig,
    LatentAttentionConfig,
    ModelConfig,
)

SIGNS = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0])


class Doubling(nn.Module):
    def forward(self, x, context):
        return 2 * x


class Zero(nn.Module):
    def forward(self, x, context):
        return torch.zeros_like(x)


class Trebling(nn.Module):
    def forward(self, x):
        return 3 * x, torch.tensor(0.25)


def config(**changes):
    settings = {
        "vocab_size": 6,
        "hidden_size": 8,
        "num_layers": 2,
        "dropout": 0.0,
        "attention": AttentionConfig(num_heads=2),
        "feed_forward": FeedForwardConfig(hidden_size=8, num_experts=2),
    }
    return ModelConfig(**(settings | changes))


def simple_block(placement, dropout=0.0):
    """A block whose attention doubles, whose feed-forward trebles, and whose gains differ."""
    block = Block(config(norm_placement=placement, dropout=dropout), 0, 8)
    block.attention, block.feed_forward = Doubling(), Trebling()
    gains = {
        "attention_norm": 5.0,
        "feed_forward_norm": 7.0,
        "attention_output_norm": 11.0,
        "feed_forward_output_norm": 13.0,
    }
    for name, parameter in block.named_parameters():
        parameter.data.fill_(gains[name.removesuffix(".weight")])
    return block


def context_of(model_config, length):
    return sequence_context(torch.zeros(1, length, dtype=torch.int64), model_config.attention, 0)


# A vector of signs s times c has RMS c, so that norm(c s) is gain × s.
# pre: 4 + 2 × 5 = 14; 14 + 3 × 7 = 35. post: norm(4 + 8) = 5; norm(5 + 15) = 7.
# sandwich: 4 + norm(2 × 5) = 4 + 11 = 15; 15 + norm(3 × 7) = 15 + 13 = 28.
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("placement", "size"), [("pre", 35.0), ("post", 7.0), ("sandwich", 28.0)])
def test_norms_stand_where_they_are_placed(placement, size, dtype):
    stream, auxiliary = simple_block(placement)((4 * SIGNS).view(1, 1, 8).to(dtype), None)
    # Bfloat16 has these whole numbers exactly, and the stream keeps its format.
    torch.testing.assert_close(stream.flatten(), (size * SIGNS).to(dtype))
    assert auxiliary.item() == 0.25


@pytest.mark.parametrize("placement", ["pre", "post", "sandwich"])
def test_dropout_acts_on_what_is_added_to_the_stream(placement):
    torch.manual_seed(0)
    block = simple_block(placement, dropout=0.5)
    block.attention = Zero()
    if placement == "post":
        # Without the norms of the sums, what was added can be told from the stream.
        block.attention_norm, block.feed_forward_norm = nn.Identity(), nn.Identity()
    x = torch.randn(1, 400, 8)
    whole = block.eval()(x, None)[0] - x
    ratio = (block.train()(x, None)[0] - x) / whole
    kept = ratio.abs() > 1.0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(ratio[kept], torch.full_like(ratio[kept], 2.0), rtol=1e-3, atol=0)
    assert torch.equal(ratio[~kept], torch.zeros_like(ratio[~kept]))


LATENT = LatentAttentionConfig(kv_rank=8, rotary_head_dim=4, plain_head_dim=4, value_head_dim=4)


@pytest.mark.parametrize("attention", ["multi_head", "latent"])
@pytest.mark.parametrize(
    "feed_forward",
    [
        FeedForwardConfig(hidden_size=8, num_experts=2, shared_experts=1),
        FeedForwardConfig(dense_hidden_size=8, layer_pattern=("dense",), activation="swiglu"),
    ],
)
def test_a_block_of_zeroed_projections_passes_the_stream_on(attention, feed_forward):
    torch.manual_seed(0)
    model_config = config(
        attention=AttentionConfig(kind=attention, num_heads=2, latent=LATENT),
        feed_forward=feed_forward,
    )
    block = Block(model_config, 0, 8)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    context, x = context_of(model_config, 5), torch.randn(1, 5, 8)
    assert not torch.allclose(block(x, context)[0], x)
    block.zero_output()
    assert torch.equal(block(x, context)[0], x)


@pytest.mark.parametrize("placement", ["pre", "post", "sandwich"])
def test_the_plain_stream_stays_float32_under_autocast(placement):
    model_config = config(norm_placement=placement)
    block = Block(model_config, 0, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stream, auxiliary = block(torch.randn(1, 5, 8), context_of(model_config, 5))
    assert stream.dtype == auxiliary.dtype == torch.float32
