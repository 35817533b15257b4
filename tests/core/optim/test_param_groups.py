import pytest
import torch

from core.model.transformer import Transformer
from core.optim.param_groups import build_optimizers, parameter_kind, split_parameters
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig
from core.schema.optimizer_config import AdamWConfig, OptimizerConfig

CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    num_layers=1,
    tie_embeddings=False,
    attention=AttentionConfig(num_heads=2, qk_norm=True),
    feed_forward=FeedForwardConfig(hidden_size=16, num_experts=2),
)
EVERYTHING = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    num_layers=2,
    dropout=0.0,
    tie_embeddings=False,
    embedding_mix=True,
    skip_connections=True,
    token_smearing=True,
    extra_predictions=1,
    attention=AttentionConfig(
        num_heads=2, output_gate="head", value_embedding_pattern=(True, False)
    ),
    feed_forward=FeedForwardConfig(
        hidden_size=16, num_experts=2, layer_pattern=("experts", "dense")
    ),
)


def names_of(model):
    return {id(parameter): name for name, parameter in model.named_parameters()}


def groups_by_name(model, config):
    """Parameter name to its (rate ratio, weight decay) under AdamW."""
    names = names_of(model)
    return {
        names[id(parameter)]: (group["rate_ratio"], group["weight_decay"])
        for group in build_optimizers(model, config).adamw.param_groups
        for parameter in group["params"]
    }


def test_muon_gets_hidden_matrices_and_expert_stacks_alone():
    model = Transformer(CONFIG, 8)
    names = names_of(model)
    hidden, rest = split_parameters(model)
    assert [names[id(parameter)] for parameter in hidden] == [
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention.output.weight",
        "blocks.0.feed_forward.up_EFC",
        "blocks.0.feed_forward.down_ECF",
    ]
    assert len(hidden) + len(rest) == len(names)


def test_with_every_setting_each_parameter_has_its_kind():
    model = Transformer(EVERYTHING, 8)
    names = names_of(model)
    hidden, rest = split_parameters(model)
    assert all(parameter.ndim > 1 for parameter in hidden)
    assert {name.split(".", 2)[-1] for name in map(names.get, map(id, hidden))} == {
        "attention.qkv.weight",
        "attention.output.weight",
        "feed_forward.up_EFC",
        "feed_forward.down_ECF",
        "feed_forward.up.weight",
        "feed_forward.down.weight",
    }
    kinds = {names[id(parameter)]: kind for parameter, kind in rest}
    assert {name: kind for name, kind in kinds.items() if kind != "plain"} == {
        "embedding.weight": "embedding",
        "blocks.0.attention.value_embedding.weight": "embedding",
        "head.weight": "head",
        "blocks.0.feed_forward.router.gate.weight": "router",
        "blocks.0.attention.value_embedding_weight": "scalar",
        "connections.stream_weights_L": "scalar",
        "connections.embedding_weights_L": "scalar",
        "connections.skip_weights_S": "scalar",
        "smearing.weight": "scalar",
        "smearing.gate_C": "scalar",
    }
    assert {name for name, kind in kinds.items() if kind == "plain"} == {
        name for name in names.values() if "norm" in name or name.endswith("attention.gate.weight")
    }


@pytest.mark.parametrize(("output_gate", "kind"), [("head", "plain"), ("channel", "hidden")])
def test_a_gate_is_a_hidden_matrix_if_it_has_a_row_a_channel(output_gate, kind):
    assert parameter_kind("blocks.0.attention.gate.weight", 2, output_gate) == kind


def test_each_kind_has_its_own_rate_and_scalars_do_not_decay():
    adamw = AdamWConfig(
        embedding_rate_ratio=2.0, head_rate_ratio=3.0, router_rate_ratio=4.0, weight_decay=0.5
    )
    groups = groups_by_name(Transformer(EVERYTHING, 8), OptimizerConfig(adamw=adamw))
    assert groups["embedding.weight"] == (2.0, 0.5)
    assert groups["blocks.0.attention.value_embedding.weight"] == (2.0, 0.5)
    assert groups["head.weight"] == (3.0, 0.5)
    assert groups["blocks.0.feed_forward.router.gate.weight"] == (4.0, 0.5)
    assert groups["norm.weight"] == (1.0, 0.5)
    assert groups["connections.skip_weights_S"] == (1.0, 0.0)


def test_by_default_adamw_has_one_group():
    optimizers = build_optimizers(Transformer(CONFIG, 8), OptimizerConfig())
    (group,) = optimizers.adamw.param_groups
    assert group["weight_decay"] == 0.2
    assert group["fused"] is True


def step_of(config, factor=0.25, spent=0.0):
    torch.manual_seed(0)
    model = Transformer(CONFIG, 8)
    optimizers = build_optimizers(model, config)
    model.losses(torch.randint(20, (2, 8)))[0].backward()
    optimizers.set_rates(factor, spent)
    optimizers.step()
    return model, optimizers


def test_a_step_applies_the_factor_to_both_peaks_and_clears_gradients():
    config = OptimizerConfig(adamw=AdamWConfig(embedding_rate_ratio=2.0))
    model, optimizers = step_of(config)
    rate = optimizers.muon.rates.learning_rate.item()
    assert rate == pytest.approx(0.25 * config.muon.learning_rate)
    assert [group["lr"] for group in optimizers.adamw.param_groups] == [
        0.25 * config.adamw.learning_rate * 2.0,
        0.25 * config.adamw.learning_rate,
    ]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("largest", [0.05, 1e6])
def test_folded_clipping_is_clipping_before_both_optimizers(fused, largest):
    config = OptimizerConfig(gradient_clip_norm=largest, adamw=AdamWConfig(fused=fused))
    model, _ = step_of(config)
    torch.manual_seed(0)
    other = Transformer(CONFIG, 8)
    optimizers = build_optimizers(other, config)
    other.losses(torch.randint(20, (2, 8)))[0].backward()
    norm = torch.nn.utils.clip_grad_norm_(other.parameters(), largest)
    assert norm > 0.05
    optimizers.set_rates(0.25, 0.0)
    optimizers.muon.step()
    optimizers.adamw.step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_momentum_follows_the_share_of_the_budget():
    config = OptimizerConfig.model_validate(
        {"muon": {"momentum_start": 0.5, "momentum": 0.9, "momentum_warmup_fraction": 0.4}}
    )
    _, optimizers = step_of(config, spent=0.1)
    assert optimizers.muon.rates.momentum.item() == pytest.approx(0.6)
