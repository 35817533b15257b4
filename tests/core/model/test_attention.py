import math

import pytest
import torch

from core.model.attention import MultiHeadAttention
from core.model.masking import sequence_context
from core.schema.model_config import AttentionConfig, ModelConfig

SEPARATOR = 9
EVERYTHING = {
    "query_heads_per_kv_head": 2,
    "projections": "separate",
    "rotary_fraction": 0.5,
    "qk_norm": True,
    "window_pattern": (6,),
    "document_masking": True,
    "output_gate": "channel",
    "value_embedding_pattern": (True,),
}


def config(**attention):
    settings = AttentionConfig(**({"num_heads": 4} | attention))
    return ModelConfig(vocab_size=10, hidden_size=32, dropout=0.0, attention=settings)


def layer(model_config, index=0):
    torch.manual_seed(0)
    attention = MultiHeadAttention(model_config, index, max_sequence_length=24)
    for parameter in attention.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return attention


def attend(attention, model_config, x, tokens=None):
    if tokens is None:
        tokens = torch.zeros(x.shape[:2], dtype=torch.int64)
    return attention(x, sequence_context(tokens, model_config.attention, SEPARATOR))


def stream(length=12, rows=2):
    torch.manual_seed(1)
    return torch.randn(rows, length, 32)


def names(attention):
    return [name for name, _ in attention.named_parameters()]


def turned(head, position, base=10_000.0):
    """Rotary positions by complex numbers."""
    first, second = head.double().chunk(2)
    frequency = base ** (-torch.arange(len(first), dtype=torch.float64) / len(first))
    rotated = torch.complex(first, second) * torch.polar(
        torch.ones_like(frequency), position * frequency
    )
    return torch.cat((rotated.real, rotated.imag))


def test_the_default_is_plain_attention_with_rotary_positions():
    plain = config()
    attention, x = layer(plain), stream(rows=1)
    rows = []
    for t in range(12):
        heads = []
        for h in range(4):
            q_rows, k_rows, v_rows = (
                attention.qkv.weight[i * 32 + h * 8 : i * 32 + h * 8 + 8] for i in range(3)
            )
            query = turned(q_rows @ x[0, t], t)
            scores = torch.stack([turned(k_rows @ x[0, s], s) @ query for s in range(t + 1)])
            weights = (scores / math.sqrt(8)).softmax(0)
            heads.append(weights @ (x[0, : t + 1] @ v_rows.T).double())
        rows.append(attention.output.weight.double() @ torch.cat(heads))
    torch.testing.assert_close(
        attend(attention, plain, x)[0], torch.stack(rows).float(), rtol=1e-4, atol=1e-4
    )


def test_parameters_of_the_default_are_two_matrices():
    assert names(layer(config())) == ["qkv.weight", "output.weight"]


def test_no_position_sees_a_later_one_nor_another_row():
    everything = config(**EVERYTHING)
    attention, x = layer(everything), stream()
    tokens = torch.ones(2, 12, dtype=torch.int64)
    changed_x, changed_tokens = x.clone(), tokens.clone()
    changed_x[0, 7:] += 1
    changed_tokens[0, 7:] = 2
    before = attend(attention, everything, x, tokens)
    after = attend(attention, everything, changed_x, changed_tokens)
    torch.testing.assert_close(before[0, :7], after[0, :7])
    torch.testing.assert_close(before[1], after[1])
    assert (before[0, 7:] - after[0, 7:]).abs().amax(dim=-1).min() > 1e-3


@pytest.mark.parametrize("group_size", [1, 2, 4])
def test_separate_matrices_are_the_rows_of_the_merged_one(group_size):
    merged_config = config(query_heads_per_kv_head=group_size)
    separate_config = config(query_heads_per_kv_head=group_size, projections="separate")
    merged, separate = layer(merged_config), layer(separate_config)
    kv_rows = 32 // group_size
    assert merged.qkv.weight.shape == (32 + 2 * kv_rows, 32)
    assert names(separate) == ["query.weight", "key.weight", "value.weight", "output.weight"]
    with torch.no_grad():
        q, k, v = merged.qkv.weight.split((32, kv_rows, kv_rows))
        separate.query.weight.copy_(q)
        separate.key.weight.copy_(k)
        separate.value.weight.copy_(v)
        separate.output.weight.copy_(merged.output.weight)
    x = stream()
    torch.testing.assert_close(
        attend(merged, merged_config, x), attend(separate, separate_config, x)
    )


def test_query_heads_share_the_key_and_value_head_of_their_group():
    grouped_config, plain_config = config(query_heads_per_kv_head=2), config()
    grouped, plain = layer(grouped_config), layer(plain_config)
    with torch.no_grad():
        q, k, v = grouped.qkv.weight.split((32, 16, 16))
        k, v = (rows.view(2, 8, 32)[[0, 0, 1, 1]].reshape(32, 32) for rows in (k, v))
        plain.qkv.weight.copy_(torch.cat((q, k, v)))
        plain.output.weight.copy_(grouped.output.weight)
    x = stream()
    torch.testing.assert_close(attend(grouped, grouped_config, x), attend(plain, plain_config, x))


def test_channels_without_position_score_alike_at_any_distance():
    # Heads of 8 channels, 2 of them rotary: with queries and keys in the last 6 alone,
    # equal tokens get equal weights, so the last position sees the mean of all values.
    partial = config(rotary_fraction=0.25)
    attention, x = layer(partial), stream(length=1).expand(2, 6, 32).clone()
    x[:, :, 31] = torch.arange(6)
    with torch.no_grad():
        attention.qkv.weight[:64, 31] = 0
        attention.qkv.weight[:64].view(8, 8, 32)[:, :2] = 0
    values = x @ attention.qkv.weight[64:].T
    expected = values.mean(dim=1) @ attention.output.weight.T
    torch.testing.assert_close(attend(attention, partial, x)[:, -1], expected)


def test_a_window_follows_the_pattern_of_the_layers():
    pattern = config(window_pattern=(0, 3))
    x = stream()
    changed = x.clone()
    changed[:, 0] += 1
    for index, reaches_end in ((0, True), (1, False), (2, True), (3, False)):
        attention = layer(pattern, index)
        moved = attend(attention, pattern, x) - attend(attention, pattern, changed)
        assert moved[:, 2].abs().max() > 1e-3
        assert (moved[:, 3:].abs().max() > 1e-3) == reaches_end


@pytest.mark.parametrize("settings", [{"document_masking": True}, EVERYTHING])
def test_a_document_in_a_row_gives_what_it_gives_alone(settings):
    masked = config(**settings)
    attention, x = layer(masked), stream(length=20, rows=1)
    tokens = torch.tensor([[1, 2, 3, 9, 4, 5, 6, 7, 8, 1, 2, 3, 4, 9, 9, 5, 6, 7, 8, 1]])
    packed = attend(attention, masked, x, tokens)
    for start, end in ((0, 4), (4, 14), (14, 15), (15, 20)):
        alone = attend(attention, masked, x[:, start:end], tokens[:, start:end])
        torch.testing.assert_close(packed[:, start:end], alone, rtol=1e-4, atol=1e-5)


def test_a_gate_a_head_scales_all_channels_of_its_head():
    # A single position attends to its own value.
    gated = config(output_gate="head")
    attention, x = layer(gated), stream(length=1)
    assert attention.gate.weight.shape == (4, 32)
    values = (x @ attention.qkv.weight[64:].T).view(2, 1, 4, 8)
    shares = 1 / (1 + torch.exp(-(x @ attention.gate.weight.T)))
    expected = (values * shares[..., None]).flatten(2) @ attention.output.weight.T
    torch.testing.assert_close(attend(attention, gated, x), expected)


def test_a_gate_a_channel_scales_each_channel():
    gated = config(output_gate="channel")
    attention, x = layer(gated), stream(length=1)
    assert attention.gate.weight.shape == (32, 32)
    values = x @ attention.qkv.weight[64:].T
    shares = 1 / (1 + torch.exp(-(x @ attention.gate.weight.T)))
    torch.testing.assert_close(
        attend(attention, gated, x), (values * shares) @ attention.output.weight.T
    )


def test_a_value_embedding_adds_half_of_its_row_at_first():
    embedded = config(query_heads_per_kv_head=2, value_embedding_pattern=(True,))
    attention, x = layer(embedded), stream(length=1)
    assert attention.value_embedding.weight.shape == (10, 16)
    values = (
        x @ attention.qkv.weight[48:].T + 0.5 * attention.value_embedding.weight[[3, 7]][:, None]
    )
    values = values.view(2, 1, 2, 8)[:, :, [0, 0, 1, 1]].flatten(2)
    expected = values @ attention.output.weight.T
    tokens = torch.tensor([[3], [7]])
    torch.testing.assert_close(attend(attention, embedded, x, tokens), expected)


def test_gradients_reach_a_value_embedding_and_its_weight():
    # With one position, output = output matrix (value + weight * row): the derivative of the
    # sum of outputs by the values is the column sums of the output matrix.
    embedded = config(value_embedding_pattern=(True,))
    attention, x = layer(embedded), stream(length=1, rows=1)
    attend(attention, embedded, x, torch.tensor([[3]])).sum().backward()
    by_value = attention.output.weight.detach().sum(dim=0)
    expected = torch.zeros(10, 32)
    expected[3] = 0.5 * by_value
    table = attention.value_embedding.weight
    torch.testing.assert_close(table.grad, expected)
    torch.testing.assert_close(
        attention.value_embedding_weight.grad, (by_value @ table.detach()[3])[None]
    )


def test_only_layers_of_the_pattern_have_value_embeddings():
    pattern = config(value_embedding_pattern=(True, False, False))
    tables = ["value_embedding_weight", "value_embedding.weight"]
    assert [set(tables) <= set(names(layer(pattern, i))) for i in range(4)] == [
        True,
        False,
        False,
        True,
    ]


def test_every_parameter_gets_a_gradient():
    everything = config(**EVERYTHING)
    attention = layer(everything)
    tokens = torch.randint(10, (2, 12))
    attend(attention, everything, stream(), tokens).square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_under_autocast_all_settings_stay_close_to_float32():
    everything = config(**EVERYTHING)
    attention, x = layer(everything), stream()
    tokens = torch.randint(10, (2, 12))
    exact = attend(attention, everything, x, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        fast = attend(attention, everything, x, tokens)
    assert fast.dtype == torch.bfloat16
    assert ((fast - exact).norm() / exact.norm()).item() < 0.02
