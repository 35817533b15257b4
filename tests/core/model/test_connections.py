import torch

from core.model.connections import StreamConnections
from core.schema.model_config import AttentionConfig, ModelConfig


def connections(num_layers, **changes):
    attention = AttentionConfig(num_heads=2)
    return StreamConnections(
        ModelConfig(
            vocab_size=6, hidden_size=8, num_layers=num_layers, attention=attention, **changes
        )
    )


def entering(module, num_layers, embedding=1.0):
    """What enters each layer where each layer adds 1 to what entered it."""
    start = x = torch.tensor([embedding])
    entered, inputs = [], []
    for layer in range(num_layers):
        x = module(layer, x, start, entered)
        inputs.append(x.item())
        x = x + 1.0
    return inputs


def test_plain_layers_get_the_output_of_the_one_before():
    module = connections(3)
    assert list(module.parameters()) == []
    assert entering(module, 3) == [1.0, 2.0, 3.0]


def test_scalars_start_where_they_do_nothing():
    module = connections(5, embedding_mix=True, skip_connections=True)
    assert entering(module, 5) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_mixing_worked_by_hand():
    module = connections(3, embedding_mix=True)
    module.stream_weights_L.data = torch.tensor([1.0, 2.0, 0.0])
    module.embedding_weights_L.data = torch.tensor([1.0, 0.5, -3.0])
    # 1 + 1 = 2; 2 × (2 + 1) + 0.5 = 6.5; 0 × 7.5 - 3 = -3.
    assert entering(module, 3) == [2.0, 6.5, -3.0]


def test_skips_pair_the_first_layer_with_the_last():
    module = connections(4, skip_connections=True)
    module.skip_weights_S.data = torch.tensor([10.0, 100.0])
    # Layer 2 gets 100 × what entered layer 1: 3 + 200; layer 3 gets 10 × layer 0's: 204 + 10.
    assert entering(module, 4) == [1.0, 2.0, 203.0, 214.0]


def test_the_middle_one_of_an_odd_number_of_layers_has_no_skip():
    module = connections(3, skip_connections=True)
    module.skip_weights_S.data = torch.tensor([10.0])
    assert entering(module, 3) == [1.0, 2.0, 13.0]


def test_a_skip_carries_what_entered_after_mixing():
    module = connections(2, embedding_mix=True, skip_connections=True)
    module.stream_weights_L.data = torch.tensor([3.0, 1.0])
    module.skip_weights_S.data = torch.tensor([10.0])
    assert entering(module, 2) == [3.0, 34.0]
