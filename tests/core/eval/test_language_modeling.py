import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.eval.language_modeling import evaluate_language_modeling, num_predicted_bytes
from core.eval.log_likelihood import next_token_scores
from core.schema.model_config import ModelConfig

ROWS = np.array([[0, 1, 2], [1, 1, 0], [2, 0, 2]], dtype=np.uint16)


class Bigram(torch.nn.Module):
    """Logits that depend on the token before alone."""

    config = ModelConfig(vocab_size=3)

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 3, bias=False)
        table = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.5, 0.0, 0.0]])
        self.head.weight.data = table.T.contiguous()

    def hidden(self, tokens):
        return F.one_hot(tokens, 3).float(), torch.zeros(())


def evaluate(rows, num_bytes=7):
    return evaluate_language_modeling(
        lambda tokens: next_token_scores(Bigram(), tokens),
        rows,
        num_bytes,
        torch.device("cpu"),
        lambda *_: None,
    )


def test_scores_worked_by_hand():
    def nll(logits, target):
        return math.log(sum(math.exp(x) for x in logits)) - logits[target]

    a, b, c = [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.5, 0.0, 0.0]
    expected = [nll(a, 1), nll(b, 2), nll(b, 1), nll(b, 0), nll(c, 0), nll(a, 2)]
    score = evaluate(ROWS)
    assert score.num_tokens == 6
    assert score.loss == pytest.approx(sum(expected) / 6, rel=1e-6)
    assert score.accuracy == pytest.approx(2 / 6)
    assert score.bits_per_byte == pytest.approx(sum(expected) / math.log(2) / 7, rel=1e-6)


def test_padding_of_the_last_batch_does_not_count():
    many = np.tile(ROWS, (1000, 1))[:2999]
    score = evaluate(many)
    assert score.num_tokens == 5998
    whole = evaluate(np.tile(ROWS, (1000, 1)))
    last = evaluate(ROWS[2:3])
    assert score.negative_log_likelihood == pytest.approx(
        whole.negative_log_likelihood - last.negative_log_likelihood
    )


def test_bytes_are_those_of_predicted_tokens():
    assert num_predicted_bytes(ROWS, np.array([1, 10, 100], dtype=np.int32)) == (
        (10 + 100) + (10 + 1) + (1 + 100)
    )
