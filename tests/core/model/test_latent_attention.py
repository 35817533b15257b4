import math

import pytest
import torch
import torch.nn.functional as F

from core.model.latent_attention import LatentAttention
from core.model.masking import sequence_context
from core.schema.model_config import AttentionConfig, LatentAttentionConfig, ModelConfig

SEPARATOR = 9
SIZES = LatentAttentionConfig(kv_rank=8, rotary_head_dim=4, plain_head_dim=6, value_head_dim=10)
EVERYTHING = {
    "qk_norm": True,
    "window_pattern": (6,),
    "document_masking": True,
    "output_gate": "head",
    "value_embedding_pattern": (True,),
}


def config(**attention):
    settings = AttentionConfig(**({"kind": "latent", "num_heads": 2, "latent": SIZES} | attention))
    return ModelConfig(vocab_size=10, hidden_size=16, dropout=0.0, attention=settings)


def layer(model_config):
    torch.manual_seed(0)
    attention = LatentAttention(model_config, 0, max_sequence_length=24)
    for parameter in attention.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return attention


def attend(attention, model_config, x, tokens):
    return attention(x, sequence_context(tokens, model_config.attention, SEPARATOR))


def stream(length=12, rows=2):
    torch.manual_seed(1)
    return torch.randn(rows, length, 16), torch.randint(9, (rows, length))


def turned(pairs, position):
    """Four channels: pairs (0, 2) and (1, 3), frequencies 1 and 10,000 ** -0.5 = 0.01."""
    a, b, c, d = pairs
    cos, sin = (
        [f(position * frequency) for frequency in (1.0, 0.01)] for f in (math.cos, math.sin)
    )
    return torch.stack(
        (
            a * cos[0] - c * sin[0],
            b * cos[1] - d * sin[1],
            c * cos[0] + a * sin[0],
            d * cos[1] + b * sin[1],
        )
    )


def one_query_at_a_time(attention, x, tokens, window):
    """The definition, without norms of queries and keys, for one row."""
    narrow = x @ attention.compress.weight.T
    expanded = F.rms_norm(narrow[:, :8], (8,), eps=1e-6) @ attention.expand.weight.T
    gates = torch.sigmoid(x @ attention.gate.weight.T)
    rows = []
    for t in range(x.size(0)):
        heads = []
        for h in range(2):
            query = attention.query.weight[h * 10 : h * 10 + 10] @ x[t]
            query = torch.cat((query[:6], turned(query[6:], t)))
            seen = range(max(0, t - window + 1), t + 1)
            keys = [
                torch.cat((expanded[s, h * 16 : h * 16 + 6], turned(narrow[s, 8:], s)))
                for s in seen
            ]
            values = [
                expanded[s, h * 16 + 6 : h * 16 + 16]
                + 0.5 * attention.value_embedding.weight[tokens[s], h * 10 : h * 10 + 10]
                for s in seen
            ]
            weights = (torch.stack(keys) @ query / math.sqrt(10)).softmax(0)
            heads.append(weights @ torch.stack(values) * gates[t, h * 10 : h * 10 + 10])
        rows.append(attention.output.weight @ torch.cat(heads))
    return torch.stack(rows)


@pytest.mark.parametrize("window", [0, 3])
def test_outputs_and_gradients_are_those_of_the_definition(window):
    settings = config(
        window_pattern=(window,), output_gate="channel", value_embedding_pattern=(True,)
    )
    attention = layer(settings)
    x, tokens = stream(rows=1)
    output = attend(attention, settings, x, tokens)[0]
    expected = one_query_at_a_time(attention, x[0], tokens[0], window or 12)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    weights = [attention.compress.weight, attention.expand.weight, attention.gate.weight]
    weights.append(attention.value_embedding.weight)
    direction = torch.randn_like(expected)
    gradients = torch.autograd.grad((output * direction).sum(), weights)
    wanted = torch.autograd.grad((expected * direction).sum(), weights)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=1e-3, atol=1e-4)


def test_parameters_of_the_default_keep_their_order():
    names = [name for name, _ in layer(config(qk_norm=True)).named_parameters()]
    assert names == [
        "query.weight",
        "compress.weight",
        "compressed_norm.weight",
        "expand.weight",
        "output.weight",
        "q_norm.weight",
        "k_norm.weight",
    ]


def test_a_document_in_a_row_gives_what_it_gives_alone():
    everything = config(**EVERYTHING)
    attention = layer(everything)
    x, _ = stream(length=20, rows=1)
    tokens = torch.tensor([[1, 2, 3, 9, 4, 5, 6, 7, 8, 1, 2, 3, 4, 9, 9, 5, 6, 7, 8, 1]])
    packed = attend(attention, everything, x, tokens)
    for start, end in ((0, 4), (4, 14), (14, 15), (15, 20)):
        alone = attend(attention, everything, x[:, start:end], tokens[:, start:end])
        torch.testing.assert_close(packed[:, start:end], alone, rtol=1e-4, atol=1e-5)


def test_no_position_sees_a_later_one():
    everything = config(**EVERYTHING)
    attention = layer(everything)
    x, tokens = stream()
    changed_x, changed_tokens = x.clone(), tokens.clone()
    changed_x[:, 7:] += 1
    changed_tokens[:, 7:] = (tokens[:, 7:] + 1) % 9
    before = attend(attention, everything, x, tokens)
    after = attend(attention, everything, changed_x, changed_tokens)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert (before[:, 7:] - after[:, 7:]).abs().amax(dim=-1).min() > 1e-3


def test_every_parameter_gets_a_gradient():
    everything = config(**EVERYTHING)
    attention = layer(everything)
    attend(attention, everything, *stream()).square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
