import math

import pytest
import torch
import torch.nn.functional as F

from core.estimate.parameters import num_parameters
from core.model.masking import sequence_context
from core.model.transformer import Transformer
from core.schema.model_config import (
    AttentionConfig,
    FeedForwardConfig,
    LatentAttentionConfig,
    ModelConfig,
)
from core.tracks import load_tracks

LATENT = LatentAttentionConfig(kv_rank=16, rotary_head_dim=4, plain_head_dim=6, value_head_dim=10)
DENSE = FeedForwardConfig(layer_pattern=("dense",), dense_hidden_size=24)
BOTH_KINDS = FeedForwardConfig(
    hidden_size=24, num_experts=4, layer_pattern=("experts", "dense"), dense_hidden_size=40
)


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


def build(config, length=16, separator_id=0):
    torch.manual_seed(0)
    return Transformer(config, length, separator_id).eval()


def some_tokens(rows=2, length=16):
    return torch.randint(50, (rows, length), generator=torch.Generator().manual_seed(1))


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

STREAMS = {
    "post": tiny(norm_placement="post"),
    "sandwich": tiny(norm_placement="sandwich"),
    "normed_embedding": tiny(embedding_norm=True, embedding_scale=0.3),
    "mixed": tiny(num_layers=3, embedding_mix=True),
    "skipping": tiny(num_layers=5, skip_connections=True),
    "smeared": tiny(token_smearing=True),
    "capped": tiny(logit_soft_cap=5.0),
    "two_ahead": tiny(extra_predictions=2),
    "all": tiny(
        num_layers=3,
        tie_embeddings=False,
        norm_placement="sandwich",
        embedding_norm=True,
        embedding_mix=True,
        skip_connections=True,
        token_smearing=True,
        logit_soft_cap=5.0,
        extra_predictions=1,
        attention=AttentionConfig(
            num_heads=4, document_masking=True, value_embedding_pattern=(False, True)
        ),
        feed_forward=BOTH_KINDS,
    ),
}


def stirred(config):
    """A model whose learned scalars no longer start where they do nothing."""
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_formula(name):
    model = build(VARIANTS[name])
    assert sum(p.numel() for p in model.parameters()) == num_parameters(VARIANTS[name])


def test_matrices_are_drawn_in_the_order_of_the_parameters():
    # Published results depend on these very draws.
    model = build(tiny(num_layers=1))
    names = [name for name, _ in model.named_parameters()]
    assert names == [
        "embedding.weight",
        "blocks.0.attention_norm.weight",
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention.output.weight",
        "blocks.0.feed_forward_norm.weight",
        "blocks.0.feed_forward.up_EFC",
        "blocks.0.feed_forward.down_ECF",
        "blocks.0.feed_forward.router.gate.weight",
        "norm.weight",
    ]
    torch.manual_seed(0)
    # What the constructors draw first: embedding, qkv, output, gate, head.
    torch.empty(50, 32).normal_()
    for rows in (96, 32, 4, 50):
        torch.empty(rows, 32).uniform_()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            assert torch.equal(parameter, torch.empty(parameter.shape).normal_(std=0.02))
        else:
            assert torch.equal(parameter, torch.ones(parameter.shape))


@pytest.mark.parametrize("name", VARIANTS | STREAMS)
def test_no_position_sees_a_later_token(name):
    model = stirred((VARIANTS | STREAMS)[name])
    tokens = some_tokens()
    changed = tokens.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 50
    before, _ = model(tokens)
    after, _ = model(changed)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


@pytest.mark.parametrize("name", ["mixed", "skipping", "smeared", "two_ahead"])
def test_settings_with_learned_scalars_start_as_the_plain_model(name):
    plain = build(tiny(num_layers=STREAMS[name].num_layers))
    model = build(STREAMS[name])
    tokens = some_tokens()
    assert torch.equal(model(tokens)[0], plain(tokens)[0])
    assert not torch.allclose(stirred(STREAMS[name])(tokens)[0], stirred(plain.config)(tokens)[0])


def test_the_stream_is_mixed_and_skipped_layer_by_layer():
    config = tiny(num_layers=5, embedding_mix=True, skip_connections=True)
    model, tokens = stirred(config), some_tokens()
    context = sequence_context(tokens, config.attention, 0)
    stream_weights, embedding_weights, skip_weights = model.connections.parameters()
    embedding = x = F.embedding(tokens, model.embedding.weight) * math.sqrt(32)
    inputs, balance = [], 0.0
    for layer, block in enumerate(model.blocks):
        x = stream_weights[layer] * x + embedding_weights[layer] * embedding
        if layer in (3, 4):
            x = x + skip_weights[4 - layer] * inputs[4 - layer]
        inputs.append(x)
        x, auxiliary = block(x, context)
        balance = balance + auxiliary
    logits, same_balance = model(tokens)
    torch.testing.assert_close(logits, model.norm(x) @ model.embedding.weight.T)
    torch.testing.assert_close(same_balance, balance)


def test_smearing_heeds_the_models_separator():
    attention = AttentionConfig(num_heads=4, document_masking=True)
    config = tiny(token_smearing=True, attention=attention)
    tokens = torch.tensor([[3, 4, 49, 5, 6]])
    model = build(config, separator_id=49)
    model.smearing.weight.data.fill_(2.0)
    document, _ = model(tokens[:, 3:])
    # Smearing across the separator would show: rotary positions are relative.
    torch.testing.assert_close(model(tokens)[0][:, 3:], document, rtol=1e-4, atol=1e-5)
    deaf = build(config, separator_id=0)
    deaf.smearing.weight.data.fill_(2.0)
    assert not torch.allclose(deaf(tokens)[0][:, 3:], document, rtol=1e-2, atol=1e-3)


def test_the_soft_cap_bends_the_plain_models_logits():
    tokens = some_tokens()
    plain, _ = build(tiny())(tokens)
    capped, _ = build(tiny(logit_soft_cap=0.5))(tokens)
    torch.testing.assert_close(capped, 0.5 * torch.tanh(plain / 0.5))
    assert plain.abs().max() > 0.5


def expected_loss(logits, targets):
    return F.nll_loss(logits.double().log_softmax(-1).flatten(0, 1), targets.flatten()).item()


@pytest.mark.parametrize("name", ["multi_head", "untied", "capped"])
def test_loss_is_the_mean_over_all_but_the_first_token(name):
    model, tokens = build((VARIANTS | STREAMS)[name]), some_tokens(3)
    logits, balance = model(tokens)
    loss, same_balance = model.losses(tokens)
    assert loss.item() == pytest.approx(expected_loss(logits[:, :-1], tokens[:, 1:]), rel=1e-6)
    assert same_balance == balance


def test_extra_predictions_add_their_weighted_losses_to_the_auxiliary_alone():
    quiet = FeedForwardConfig(hidden_size=24, num_experts=4, router_noise=0.0)
    config = tiny(extra_predictions=2, extra_prediction_weight=0.25, feed_forward=quiet)
    model, tokens = build(config).train(), some_tokens(3)
    context = sequence_context(tokens, config.attention, 0)
    x = F.embedding(tokens, model.embedding.weight) * math.sqrt(32)
    expected = 0.0
    for block in model.blocks:
        x, auxiliary = block(x, context)
        expected += auxiliary.item()
    for ahead, block in ((2, model.extra_blocks[0]), (3, model.extra_blocks[1])):
        extra, auxiliary = block(x, context)
        logits = model.norm(extra) @ model.embedding.weight.T
        extra_loss = expected_loss(logits[:, :-ahead], tokens[:, ahead:])
        expected += auxiliary.item() + 0.25 * extra_loss
    loss, auxiliary = model.losses(tokens)
    assert loss == build(tiny(feed_forward=quiet)).losses(tokens)[0]
    assert auxiliary.item() == pytest.approx(expected, rel=1e-5)


def test_evaluation_leaves_extra_blocks_out():
    plain, model = build(tiny()), build(STREAMS["two_ahead"])
    with torch.no_grad():
        for parameter in model.extra_blocks.parameters():
            parameter.fill_(math.nan)
    tokens = some_tokens()
    assert torch.equal(model(tokens)[0], plain(tokens)[0])
    assert model.losses(tokens) == plain.losses(tokens)


def test_an_extra_block_is_of_the_kind_of_the_last_layer():
    model = build(tiny(extra_predictions=1, feed_forward=BOTH_KINDS))
    shapes = [parameter.shape for parameter in model.blocks[-1].parameters()]
    assert [parameter.shape for parameter in model.extra_blocks[0].parameters()] == shapes
    assert shapes != [parameter.shape for parameter in model.blocks[0].parameters()]


def test_zeroed_projections_leave_the_other_draws_as_they_were():
    drawn = dict(build(tiny(extra_predictions=1)).named_parameters())
    zeroed = build(tiny(extra_predictions=1, zero_init_projections=True))
    last = ("attention.output.weight", "feed_forward.down_ECF")
    for name, parameter in zeroed.named_parameters():
        expected = torch.zeros_like(parameter) if name.endswith(last) else drawn[name]
        assert torch.equal(parameter, expected), name
    assert zeroed.embedding.weight.abs().sum() > 0


def test_an_untrained_model_is_close_to_uniform():
    loss, _ = build(tiny(init_std=0.001)).losses(some_tokens(4))
    assert loss.item() == pytest.approx(math.log(50), abs=0.01)


@pytest.mark.parametrize("name", {"multi_head": None} | STREAMS)
def test_every_parameter_gets_a_gradient(name):
    model = stirred((VARIANTS | STREAMS)[name]).train()
    loss, auxiliary = model.losses(some_tokens(8))
    (loss + auxiliary).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_after_a_step_every_router_moves_its_bias():
    biased = FeedForwardConfig(num_experts=4, balancing="bias", bias_update_rate=0.5)
    model = build(tiny(extra_predictions=1, feed_forward=biased)).train()
    model.losses(some_tokens())
    model.after_step()
    for block in (*model.blocks, *model.extra_blocks):
        # Four experts of 64 visits: those above 16 fall and those below rise, by 0.5.
        assert set(block.feed_forward.router.bias_E.tolist()) <= {-0.5, 0.0, 0.5}
        assert block.feed_forward.router.bias_E.any()
    assert build(tiny()).after_step() is None


def test_visits_of_a_step_are_counted_for_each_layer_with_experts():
    experts = FeedForwardConfig(
        num_experts=3,
        zero_compute_experts=2,
        shared_experts=1,
        layer_pattern=("experts", "dense", "experts"),
    )
    model = build(tiny(num_layers=3, extra_predictions=1, feed_forward=experts)).train()
    for _ in range(2):
        model.before_step()
        model.losses(some_tokens())
        model.eval()
        model.losses(some_tokens())
        model.train()
    routers = [model.blocks[layer].feed_forward.router for layer in (0, 2)]
    # Zero-compute experts are chosen as well, and are no load.
    assert [router.counts_E.sum().item() for router in routers] == [2 * some_tokens().numel()] * 2
    assert torch.equal(model.expert_counts(), torch.stack([r.counts_E[:3] for r in routers]))


def test_a_dense_model_counts_no_visits():
    model = build(tiny(feed_forward=FeedForwardConfig(layer_pattern=("dense",)))).train()
    model.before_step()
    model.losses(some_tokens())
    assert model.expert_counts() is None


def test_dropout_acts_in_training_alone():
    model = build(tiny(dropout=0.5))
    tokens = some_tokens()
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


def test_losses_and_their_scalars_are_one_graph():
    from torch import _dynamo

    # Dense layers, because grouped products off CUDA read the groups' sizes.
    config = STREAMS["all"].model_copy(update={"feed_forward": DENSE})
    explanation = _dynamo.explain(build(config).train().losses)(some_tokens())
    assert explanation.graph_count == 1
    assert explanation.graph_break_count == 0
