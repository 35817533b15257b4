import pytest
import torch

from core.estimate.parameters import (
    num_active_parameters,
    num_hidden_weights,
    num_other_weights,
    num_parameters,
)
from core.model.transformer import Transformer
from core.optim.param_groups import split_parameters
from core.tracks import load_tracks
from tests.core.estimate.configs import MODELS, feed_forward, model

TRACKS = load_tracks()


@pytest.fixture(scope="module")
def built():
    with torch.device("meta"):
        return {name: Transformer(config, 16) for name, config in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_model(built, name):
    actual = sum(parameter.numel() for parameter in built[name].parameters())
    assert num_parameters(MODELS[name]) == actual


@pytest.mark.parametrize("name", MODELS)
def test_muon_and_adamw_have_the_weights_of_the_formula(built, name):
    hidden, rest = split_parameters(built[name])
    assert num_hidden_weights(MODELS[name]) == sum(p.numel() for p in hidden)
    assert num_other_weights(MODELS[name]) == sum(p.numel() for p, _ in rest)


def test_parameters_of_a_tiny_model_worked_by_hand():
    # Embedding 50×32; a layer: attention 4×32×32, router 4×32, norms 2×32, experts
    # 4×(2×32×24); final norm 32. A token visits two of the four experts.
    assert num_parameters(model()) == 1600 + 3 * (4096 + 128 + 64 + 6144) + 32
    assert num_active_parameters(model()) == 1600 + 3 * (4096 + 128 + 64 + 3072) + 32


def test_visits_that_compute_nothing_are_not_active():
    # Of 6 choices 2 are taken and 4 compute: 4/3 experts of 1,536 weights are active, of the
    # 4 stored; the router has 6 rows.
    config = model(feed_forward=feed_forward(zero_compute_experts=2))
    assert num_active_parameters(config) == 1600 + 3 * (4096 + 192 + 64 + 2048) + 32


def test_shared_experts_are_always_active():
    config = model(feed_forward=feed_forward(shared_experts=2))
    assert num_active_parameters(config) - num_active_parameters(model()) == 3 * 2 * 32 * 48


def test_the_reference_baseline_has_the_published_size():
    assert num_parameters(TRACKS["gpu_24gb"].base.model) == 167_813_632


def test_the_3b_config_is_of_the_three_billion_class():
    assert num_parameters(TRACKS["h100_3b"].base.model) == pytest.approx(3e9, rel=0.05)
