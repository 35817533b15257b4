import json
import threading

import numpy as np
import pytest
import torch

from core.data.loader import Prefetcher, RowLoader
from core.errors import TooFewTokens
from core.schema.training_config import TrainingConfig
from core.training_plan import StepShape

TOKENS = np.arange(1000, dtype=np.uint16)
SHAPE = StepShape(4, 8)


def training(**changes):
    return TrainingConfig.model_validate_json(
        json.dumps({"tokens": 960, "batch_size": 4, "sequence_length": 8} | changes)
    )


def test_each_row_is_read_at_most_once_and_is_whole():
    loader = RowLoader(TOKENS, training(), seed=1)
    rows = torch.cat([loader.batch(step * 32, SHAPE) for step in range(30)])
    assert rows.dtype == torch.int64
    assert torch.equal(rows - rows[:, :1], torch.arange(8).expand(120, 8))
    assert len(set(rows[:, 0].tolist())) == 120


def test_the_order_is_the_shuffle_of_the_seed():
    loader = RowLoader(TOKENS, training(), seed=3)
    order = np.random.Generator(np.random.PCG64(3)).permutation(125)
    assert loader.batch(64, SHAPE)[:, 0].tolist() == [int(row) * 8 for row in order[8:12]]


def test_the_seed_alone_decides_the_order():
    def first_rows(seed, batch_size=4):
        loader = RowLoader(TOKENS, training(batch_size=batch_size), seed)
        shape = StepShape(batch_size, 8)
        starts = range(0, 24 * 8, shape.tokens)
        return torch.cat([loader.batch(start, shape) for start in starts])[:, 0].tolist()

    assert first_rows(1) == first_rows(1) == first_rows(1, 8) == first_rows(1, 2)
    assert first_rows(1) != first_rows(2)


def test_short_sequences_are_the_parts_of_the_rows_that_long_ones_read():
    stages = [{"from_fraction": 0.5, "sequence_length": 32}]
    loader = RowLoader(TOKENS, training(sequence_length_stages=stages), seed=1)
    long = loader.batch(128, StepShape(2, 32))
    short = loader.batch(128, StepShape(8, 8))
    assert torch.equal(long.view(8, 8), short)
    assert torch.equal(loader.batch(160, StepShape(4, 8)).flatten(), long[1])


@pytest.mark.parametrize(
    ("budget", "path"), [("tokens", "training.tokens"), ("steps", "training.steps")]
)
def test_too_few_tokens_are_refused_with_both_numbers(budget, path):
    amount = {"tokens": 0, budget: 1024 if budget == "tokens" else 32}
    with pytest.raises(TooFewTokens, match=r"asks for 1,024 tokens.* has 1,000 in whole") as caught:
        RowLoader(TOKENS, training(**amount), seed=1)
    assert caught.value.problems[0].path == path


def test_a_budget_in_dollars_reads_the_text_again_in_another_order():
    loader = RowLoader(TOKENS, training(tokens=0, dollars=1.0), seed=1)
    epochs = [
        torch.cat([loader.batch((125 * epoch + row) * 8, StepShape(1, 8)) for row in range(125)])
        for epoch in range(3)
    ]
    orders = [epoch[:, 0].tolist() for epoch in epochs]
    assert [sorted(order) for order in orders] == [list(range(0, 1000, 8))] * 3
    assert orders[0] != orders[1] != orders[2] != orders[0]
    # A batch across the end of the text, and then back to the first pass.
    across = loader.batch(124 * 8, SHAPE)[:, 0].tolist()
    assert across == [orders[0][124], *orders[1][:3]]
    assert loader.batch(0, SHAPE)[:, 0].tolist() == orders[0][:4]


def test_a_budget_in_dollars_needs_one_row():
    with pytest.raises(TooFewTokens, match=r"training\.dollars.*asks for 8 tokens.* has 0"):
        RowLoader(TOKENS[:7], training(tokens=0, dollars=1.0), seed=1)


class CountingLoader:
    """Returns the place of each batch and notes who asked for it."""

    def __init__(self):
        self.read = []
        self.threads = set()

    def batch(self, first_token, shape):
        self.read.append((first_token, shape))
        self.threads.add(threading.current_thread())
        if first_token > 1000:
            raise ValueError("no such batch")
        return torch.full(shape, first_token)


def test_expected_batches_are_read_once_and_in_the_background():
    loader = CountingLoader()
    batches = Prefetcher(loader, pinned=False)
    assert [batches.batch(start, SHAPE)[0, 0].item() for start in (0, 32, 64)] == [0, 32, 64]
    other = StepShape(2, 8)
    assert batches.batch(96, other).shape == other
    batches.batch(112, other)
    assert loader.read[:4] == [(0, SHAPE), (32, SHAPE), (64, SHAPE), (96, SHAPE)]
    assert loader.read[4:6] == [(96, other), (112, other)]
    assert threading.current_thread() not in loader.threads


def test_a_fault_while_reading_reaches_whoever_asks_for_that_batch():
    batches = Prefetcher(CountingLoader(), pinned=False)
    batches.batch(992, SHAPE)
    with pytest.raises(ValueError, match="no such batch"):
        batches.batch(1024, SHAPE)
