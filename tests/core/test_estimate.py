import pytest

from core.estimate import (
    budget_violations,
    estimate,
    num_active_parameters,
    num_parameters,
    training_flops_per_token,
)
from core.schema.experiment import AttentionConfig, FeedForwardConfig, ModelConfig
from core.schema.overrides import resolve
from core.tracks import load_tracks

TRACKS = load_tracks()

TINY = ModelConfig(
    vocab_size=10,
    hidden_size=8,
    num_layers=3,
    attention=AttentionConfig(num_heads=2),
    feed_forward=FeedForwardConfig(hidden_size=16, num_experts=4, experts_per_token=2),
)


def test_parameters_of_a_tiny_model_worked_by_hand():
    # Embedding 10×8; a layer: attention 4×8×8, router 8×4, norms 2×8, experts 4×(2×8×16);
    # final norm 8.
    assert num_parameters(TINY) == 80 + 3 * (256 + 32 + 16 + 1024) + 8
    assert num_active_parameters(TINY) == 80 + 3 * (256 + 32 + 16 + 512) + 8


def test_untied_head_adds_one_embedding():
    assert (
        num_parameters(TINY.model_copy(update={"tie_embeddings": False}))
        == num_parameters(TINY) + 80
    )


def test_flops_of_a_tiny_model_worked_by_hand():
    # 6 × (3 layers × (attention 256 + router 32 + two experts 512 + causal scores 2×8×20/2) + head 80)
    assert training_flops_per_token(TINY, 20) == 6 * (3 * (256 + 32 + 512 + 160) + 80)


def test_the_reference_baseline_has_the_published_size():
    base = TRACKS["gpu_24gb"].base
    assert num_parameters(base.model) == 167_813_632
    assert base.training.num_steps == 500


def test_the_3b_config_is_of_the_three_billion_class():
    assert num_parameters(TRACKS["h100_3b"].base.model) == pytest.approx(3e9, rel=0.05)


@pytest.mark.parametrize("name", sorted(TRACKS))
def test_every_baseline_fits_its_own_budget(name):
    assert budget_violations(TRACKS[name], TRACKS[name].base) == []


def test_a_device_without_a_price_or_a_rate_has_no_cost():
    base = TRACKS["gpu_24gb"].base
    costs = estimate(base, {"RTX 4090": 3600.0, "Abacus": 1.0})
    assert costs.cost_usd == {"RTX 4090": pytest.approx(costs.train_seconds["RTX 4090"])}


def test_steps_memory_and_dollars_are_bounded():
    five = TRACKS["five_dollar"]
    long = resolve(five.base, {"training.tokens": 9 * 10**9})
    assert any("$5.00" in violation for violation in budget_violations(five, long))
    wide = resolve(five.base, {"training.batch_size": 512})
    assert any("24 GiB" in violation for violation in budget_violations(five, wide))
    large = TRACKS["h100_3b"]
    short_rows = resolve(large.base, {"training.sequence_length": 256})
    assert any("10,000" in violation for violation in budget_violations(large, short_rows))
