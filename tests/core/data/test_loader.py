import numpy as np
import pytest
import torch

from core.data.loader import RowLoader
from core.errors import TooFewTokens
from core.schema.experiment import TrainingConfig

TOKENS = np.arange(1000, dtype=np.uint16)


def training(**changes):
    return TrainingConfig(**({"tokens": 960, "batch_size": 4, "sequence_length": 8} | changes))


def test_each_row_is_read_at_most_once_and_is_whole():
    loader = RowLoader(TOKENS, training(), seed=1)
    rows = torch.cat([loader.batch(step) for step in range(30)])
    assert rows.dtype == torch.int64
    assert torch.equal(rows - rows[:, :1], torch.arange(8).expand(120, 8))
    assert len(set(rows[:, 0].tolist())) == 120


def test_the_seed_alone_decides_the_order():
    def first_rows(seed, **changes):
        config = training(**changes)
        loader = RowLoader(TOKENS, config, seed)
        return torch.cat([loader.batch(s) for s in range(24 // config.batch_size)])[:, 0].tolist()

    assert (
        first_rows(1) == first_rows(1) == first_rows(1, batch_size=8) == first_rows(1, batch_size=2)
    )
    assert first_rows(1) != first_rows(2)


def test_too_few_tokens_are_refused_with_both_numbers():
    with pytest.raises(TooFewTokens, match=r"asks for 1,024 tokens.* has 1,000 in whole"):
        RowLoader(TOKENS, training(tokens=1024), seed=1)
