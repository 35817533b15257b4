import math

import pytest
import torch
import torch.nn.functional as F

from core.estimate import num_parameters
from core.model.transformer import Transformer
from core.schema.experiment import (
    AttentionConfig,
    FeedForwardConfig,
    LatentAttentionConfig,
    ModelConfig,
)
from core.tracks import load_tracks

LATENT = LatentAttentionConfig(kv_rank=16, rotary_head_dim=4, plain_head_dim=6, value_head_dim=10)


def tiny(**changes):
    settings = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_layers": 2,
        "dropout": 0.0,
        "attention": AttentionConfig(num_heads=4),
        "feed_forward": FeedForwardConfig(hidden_size=24, num_experts=4),
    }
    return ModelConfig(**(settings | changes))


def build(config, length=16):
    torch.manual_seed(0)
    return Transformer(config, length).eval()


VARIANTS = {
    "multi_head": tiny(),
    "qk_norm": tiny(attention=AttentionConfig(num_heads=4, qk_norm=True)),
    "latent": tiny(attention=AttentionConfig(kind="latent", num_heads=4, latent=LATENT)),
    "latent_qk_norm": tiny(
        attention=AttentionConfig(kind="latent", num_heads=4, latent=LATENT, qk_norm=True)
    ),
    "untied": tiny(tie_embeddings=False),
    "one_expert": tiny(
        feed_forward=FeedForwardConfig(hidden_size=24, num_experts=1, experts_per_token=1)
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_formula(name):
    model = build(VARIANTS[name])
    assert sum(p.numel() for p in model.parameters()) == num_parameters(VARIANTS[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_no_position_sees_a_later_token(name):
    model = build(VARIANTS[name])
    tokens = torch.randint(50, (2, 16))
    changed = tokens.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 50
    before, _ = model(tokens)
    after, _ = model(changed)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


def test_loss_is_the_mean_over_all_but_the_first_token():
    model = build(tiny())
    tokens = torch.randint(50, (3, 16))
    logits, balance = model(tokens)
    expected = F.nll_loss(
        logits[:, :-1].double().log_softmax(-1).flatten(0, 1), tokens[:, 1:].flatten()
    )
    loss, same_balance = model.losses(tokens)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert same_balance == balance


def test_an_untrained_model_is_close_to_uniform():
    loss, _ = build(tiny(init_std=0.001)).losses(torch.randint(50, (4, 16)))
    assert loss.item() == pytest.approx(math.log(50), abs=0.01)


def test_every_parameter_gets_a_gradient():
    model = build(tiny()).train()
    loss, balance = model.losses(torch.randint(50, (8, 16)))
    (loss + balance).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_in_training_alone():
    model = build(tiny(dropout=0.5))
    tokens = torch.randint(50, (2, 16))
    torch.testing.assert_close(model(tokens)[0], model(tokens)[0], rtol=0, atol=0)
    model.train()
    assert not torch.allclose(model(tokens)[0], model(tokens)[0])


def test_the_3b_config_trains_a_step_at_reduced_depth():
    config = load_tracks()["h100_3b"].base.model
    shallow = config.model_copy(update={"num_layers": 1, "vocab_size": 256})
    torch.manual_seed(0)
    model = Transformer(shallow, 32)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(shallow)
    loss, balance = model.losses(torch.randint(256, (1, 32)))
    (loss + balance).backward()
    assert math.isfinite(loss.item())


def test_the_model_compiles_in_one_graph():
    from torch import _dynamo

    model = build(tiny())
    explanation = _dynamo.explain(
        lambda tokens: model.blocks[0].attention(model.embedding(tokens))
    )(torch.randint(50, (2, 16)))
    assert explanation.graph_break_count == 0
