import pytest
import torch

from core.eval.log_likelihood import next_token_scores, scorer
from core.model.transformer import Transformer
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig

CONFIG = ModelConfig(
    vocab_size=40,
    hidden_size=16,
    num_layers=2,
    attention=AttentionConfig(num_heads=2),
    feed_forward=FeedForwardConfig(hidden_size=32, num_experts=4),
)


def model(**changes):
    torch.manual_seed(0)
    return Transformer(CONFIG.model_copy(update=changes), 12).eval()


@pytest.mark.parametrize(
    "changes",
    [{}, {"logit_soft_cap": 0.5}, {"tie_embeddings": False, "extra_predictions": 1}],
)
def test_scores_are_log_probabilities_of_the_next_token(changes):
    network, tokens = model(**changes), torch.randint(40, (3, 12))
    log_likelihood, is_top = next_token_scores(network, tokens)
    logits = network(tokens)[0].double()
    expected = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    torch.testing.assert_close(log_likelihood.double(), expected, rtol=0, atol=1e-5)
    assert torch.equal(is_top, logits[:, :-1].argmax(-1) == tokens[:, 1:])
    assert log_likelihood.shape == (3, 11)


def test_a_rows_scores_do_not_depend_on_the_other_rows_though_they_share_experts():
    score = scorer(model(), torch.device("cpu"), "float32")
    row = torch.randint(40, (1, 12))
    for seed in range(5):
        torch.manual_seed(seed)
        others = torch.randint(40, (7, 12))
        together, _ = score(torch.cat((others[:3], row, others[3:])))
        alone, _ = score(row.expand(8, -1))
        torch.testing.assert_close(together[3], alone[0], rtol=0, atol=1e-6)


def test_scoring_needs_no_gradient():
    log_likelihood, _ = scorer(model(), torch.device("cpu"), "bfloat16")(torch.randint(40, (2, 12)))
    assert not log_likelihood.requires_grad
    assert log_likelihood.dtype == torch.float32
