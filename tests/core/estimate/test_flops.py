import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from core.estimate.flops import (
    matrix_flops_per_token,
    mean_visible_keys,
    orthogonalisation_flops,
    score_flops_per_token,
    training_flops_per_token,
)
from core.estimate.matrices import hidden_matrices
from core.model.masking import sequence_context
from core.model.transformer import Transformer
from core.optim.orthogonalize import orthogonalize
from core.schema.optimizer_config import MuonConfig
from tests.core.estimate.configs import LATENT, MODELS, attention, feed_forward, model

BATCH, LENGTH = 2, 16


@pytest.fixture
def no_scores(monkeypatch):
    """Attention that returns the values, so that only products with weights are counted."""

    def values(query, key, value, **_):
        group_size = query.size(1) // value.size(1)
        return value.repeat_interleave(group_size, dim=1) + 0 * (query.sum() + key.sum())

    monkeypatch.setattr(F, "scaled_dot_product_attention", values)


@pytest.mark.usefixtures("no_scores")
@pytest.mark.parametrize("name", MODELS)
def test_products_with_weights_are_those_that_pytorch_counts(name):
    # A processor runs an expert on the visits that compute nothing, so here all compute.
    computing = MODELS[name].feed_forward.model_copy(update={"zero_compute_experts": 0})
    config = MODELS[name].model_copy(update={"feed_forward": computing})
    torch.manual_seed(0)
    network = Transformer(config, LENGTH).train()
    tokens = torch.randint(config.vocab_size, (BATCH, LENGTH))
    with FlopCounterMode(display=False) as counter:
        loss, auxiliary = network.losses(tokens)
        (loss + auxiliary).backward()
    assert counter.get_total_flops() == 3 * matrix_flops_per_token(config) * BATCH * LENGTH


def test_visits_that_compute_nothing_cost_nothing():
    # A layer: attention 4,096, router 6×32, and of two choices among six, four of which
    # compute, 4/3 experts of 1,536 weights; head 1,600.
    config = model(feed_forward=feed_forward(zero_compute_experts=2))
    assert matrix_flops_per_token(config) == 2 * (3 * (4096 + 192 + 2048) + 1600)


def test_flops_of_a_tiny_model_worked_by_hand():
    # 6 × (3 layers × (attention 4,096 + router 128 + two experts 3,072) + head 1,600), and
    # for scores and values 2 × 32 channels × 10.5 keys in each of three layers.
    expected = 6 * (3 * (4096 + 128 + 3072 + 2 * 32 * 10.5) + 1600)
    assert training_flops_per_token(model(), 20) == expected


def test_latent_heads_are_scored_with_their_own_sizes():
    # Four heads with 6 + 4 channels of queries and keys and 10 of values.
    config = model(attention=attention(kind="latent", latent=LATENT))
    assert score_flops_per_token(config, 15) == 3 * 2 * 4 * (10 + 10) * 8


def test_shared_key_heads_are_scored_by_every_query_head():
    grouped = model(attention=attention(query_heads_per_kv_head=4))
    assert score_flops_per_token(grouped, 15) == score_flops_per_token(model(), 15)


def test_each_further_prediction_costs_a_block_and_a_head():
    # A block of 7,296 used weights and 64 × 8 for scores, and a head of 1,600.
    further = training_flops_per_token(model(extra_predictions=2), 15)
    assert further - training_flops_per_token(model(), 15) == 6 * 2 * (7296 + 64 * 8 + 1600)


@pytest.mark.parametrize("window", [1, 3, 15, 16, 40])
def test_keys_are_those_that_the_mask_of_the_model_shows(window):
    config = attention(window_pattern=(window,))
    mask = sequence_context(torch.zeros(1, LENGTH, dtype=torch.int64), config, 0).mask(window)
    shown = torch.ones(LENGTH, LENGTH).tril() if mask is None else mask.dense_BHTT
    assert mean_visible_keys(LENGTH, window) == pytest.approx(shown.sum().item() / LENGTH)


def test_a_window_as_long_as_the_sequence_hides_nothing():
    assert mean_visible_keys(LENGTH, LENGTH) == mean_visible_keys(LENGTH, 0) == 8.5


def test_layers_have_their_own_windows():
    config = model(attention=attention(window_pattern=(1, 0)))
    # Layers 0 and 2 see one key, layer 1 sees 8.5.
    assert score_flops_per_token(config, LENGTH) == 2 * 2 * 32 * (1 + 8.5 + 1)


@pytest.mark.parametrize("coefficients", ["quintic", "polar_express"])
@pytest.mark.parametrize("name", ["default", "all_together", "latent_with_all"])
def test_orthogonalisation_is_counted_as_pytorch_counts_it(name, coefficients):
    muon = MuonConfig(newton_schulz_steps=5, coefficients=coefficients)
    with FlopCounterMode(display=False) as counter:
        for matrix in hidden_matrices(MODELS[name]):
            shape = (matrix.num_stored, matrix.num_outputs, matrix.num_inputs)
            orthogonalize(torch.randn(shape), 5, coefficients)
    assert counter.get_total_flops() == orthogonalisation_flops(MODELS[name], muon)
