"""Validation: loss, accuracy and bits per byte on the track's constant text.

Shape suffixes: R rows, B batch, T time.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.errors import Diverged
from core.eval.log_likelihood import Scorer

MAX_LOSS = 700.0
"""Nats; exp of a larger number is out of floating-point range."""


@dataclass(frozen=True)
class LanguageModelingScore:
    """Sums over all predicted tokens, and what follows from them."""

    negative_log_likelihood: float
    """Nats."""
    num_correct: int
    num_tokens: int
    num_bytes: int

    @property
    def loss(self) -> float:
        """Nats per predicted token."""
        return self.negative_log_likelihood / self.num_tokens

    @property
    def accuracy(self) -> float:
        """Share of tokens that had the highest probability."""
        return self.num_correct / self.num_tokens

    @property
    def bits_per_byte(self) -> float:
        """Nats / (ln 2 × UTF-8 bytes of the predicted tokens)."""
        return self.negative_log_likelihood / (math.log(2) * self.num_bytes)


def num_predicted_bytes(
    rows_RT: npt.NDArray[np.unsignedinteger], token_bytes: npt.NDArray[np.int32]
) -> int:
    """UTF-8 bytes of all tokens but the first of each row."""
    return int(token_bytes[rows_RT[:, 1:]].sum(dtype=np.int64))


def validation_batch_size(num_rows: int, length: int, device: torch.device) -> int:
    """Rows scored at once: as many as the device takes, at most all of them."""
    tokens = 8192 if device.type == "cuda" else 4096
    return max(1, min(num_rows, tokens // length))


def evaluate_language_modeling(
    score: Scorer,
    rows_RT: npt.NDArray[np.unsignedinteger],
    num_bytes: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> LanguageModelingScore:
    """Score every row; the batch is set by the device, never by the submission.

    Log-likelihoods are summed in float64 in the order of the rows. The last batch is filled
    with copies of its last row, which do not count, so that every batch has one shape.

    Raises:
        Diverged: the loss is not a number, or so large that its perplexity is none.
    """
    num_rows, length = rows_RT.shape
    batch_size = validation_batch_size(num_rows, length, device)
    # Kept on the device, so that it never waits for the processor between batches.
    nats = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    for start in range(0, num_rows, batch_size):
        count = min(batch_size, num_rows - start)
        index = np.minimum(np.arange(start, start + batch_size), num_rows - 1)
        tokens_BT = torch.from_numpy(rows_RT[index].astype(np.int64)).to(device)
        log_likelihood_BT, is_top_BT = score(tokens_BT)
        nats -= log_likelihood_BT[:count].double().sum()
        correct += is_top_BT[:count].sum()
        progress(min(start + batch_size, num_rows), num_rows)
    measured = LanguageModelingScore(
        nats.item(), int(correct.item()), num_rows * (length - 1), num_bytes
    )
    if not measured.loss <= MAX_LOSS:
        raise Diverged(
            f"the validation loss is {measured.loss}; it must be a number up to {MAX_LOSS:g} nats"
        )
    return measured
