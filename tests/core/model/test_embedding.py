import math

import pytest
import torch

from core.model.embedding import TokenEmbedding, TokenSmearing
from core.schema.model_config import AttentionConfig, ModelConfig


def config(document_masking=False, **changes):
    attention = AttentionConfig(num_heads=2, document_masking=document_masking)
    settings = {"vocab_size": 6, "hidden_size": 16, "dropout": 0.0, "attention": attention}
    return ModelConfig(**(settings | changes))


def smearing(weight, gate, separator_id=0, **changes):
    module = TokenSmearing(config(**changes), separator_id)
    module.weight.data.fill_(weight)
    module.gate_C.data[0] = gate
    return module


def test_the_table_is_scaled_by_the_factor_and_the_root_of_the_width():
    embedding = TokenEmbedding(config(embedding_scale=0.5))
    tokens = torch.tensor([[3, 1]])
    torch.testing.assert_close(embedding(tokens), 2.0 * embedding.weight[[3, 1]][None])


def test_normalised_embeddings_have_a_mean_square_of_one_whatever_the_scale():
    tokens = torch.tensor([[3, 1]])
    embedding = TokenEmbedding(config(embedding_norm=True, embedding_scale=7.0))
    x = embedding(tokens)
    torch.testing.assert_close(x.square().mean(-1), torch.ones(1, 2))
    direction = embedding.weight[3] / embedding.weight[3].norm()
    torch.testing.assert_close(x[0, 0], 4.0 * direction)


def test_embeddings_of_bfloat16_weights_are_scaled_in_float32():
    embedding = TokenEmbedding(config(embedding_scale=1.1)).bfloat16()
    x = embedding(torch.tensor([[3]]))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x[0, 0], embedding.weight[3].float() * 4.4)


def test_smearing_worked_by_hand():
    # The gate looks at channel 0, which holds 1, 0, -1: sigmoids of log 3 times it are
    # 3/4, 1/2 and 1/4; the weight doubles them.
    x = torch.zeros(1, 3, 16)
    x[0, :, 0] = torch.tensor([1.0, 0.0, -1.0])
    x[0, :, 5] = torch.tensor([10.0, 20.0, 40.0])
    smeared = smearing(weight=2.0, gate=math.log(3.0))(x, torch.tensor([[1, 2, 3]]))
    torch.testing.assert_close(smeared[0, :, 0], torch.tensor([1.0, 1.0, -1.0]))
    torch.testing.assert_close(smeared[0, :, 5], torch.tensor([10.0, 30.0, 50.0]))


@pytest.mark.parametrize("document_masking", [False, True])
def test_only_under_document_masking_smearing_stops_at_the_separator(document_masking):
    x = torch.randn(1, 4, 16)
    tokens = torch.tensor([[4, 5, 2, 3]])
    module = smearing(weight=1.0, gate=0.0, separator_id=5, document_masking=document_masking)
    added = module(x, tokens) - x
    # Token 1 is the separator: it belongs to its document and gets a share of token 0.
    torch.testing.assert_close(added[:, 1], 0.5 * x[:, 0])
    torch.testing.assert_close(added[:, 2], (0.0 if document_masking else 0.5) * x[:, 1])
    torch.testing.assert_close(added[:, 3], 0.5 * x[:, 2])
    assert torch.equal(added[:, 0], torch.zeros(1, 16))


def test_the_weight_learns_first_and_the_gate_after_it():
    x, tokens = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.int64)
    module = TokenSmearing(config(), separator_id=0)
    assert torch.equal(module(x, tokens), x)
    module(x, tokens).square().sum().backward()
    assert module.weight.grad != 0
    module.weight.data.fill_(0.1)
    module(x, tokens).square().sum().backward()
    assert (module.gate_C.grad != 0).all()
