"""Training batches in an order that the seed alone decides.

Shape suffixes: B batch, T time, R rows, L tokens in a row.
"""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import TooFewTokens
from core.schema.problem import Problem
from core.schema.training_config import TrainingConfig
from core.training_plan import StepShape, plan


class RowLoader:
    """Cuts training tokens into rows and reads them in a shuffled order.

    A row is as long as the longest sequence; shorter sequences are its parts. The order depends
    on the seed and on the number of rows, and what a step reads on the tokens read before it
    alone, so a resumed run reads what it would have read. A budget of tokens or steps reads each
    row at most once; one of dollars goes through all rows again, in another order each time.
    """

    def __init__(
        self, tokens: npt.NDArray[np.unsignedinteger], training: TrainingConfig, seed: int
    ) -> None:
        """Plan the order.

        Args:
            tokens: [number of tokens] training tokens; may be memory-mapped.

        Raises:
            TooFewTokens: the budget asks for more tokens than there are.
        """
        length = training.row_length
        num_rows = tokens.shape[0] // length
        _check_enough(training, num_rows * length)
        self._rows_RL = tokens[: num_rows * length].reshape(num_rows, length)
        self._seed = seed
        self._order = (0, self._shuffled(0))

    def batch(self, first_token: int, shape: StepShape) -> Tensor:
        """Int64 tokens [B, T] of a step.

        Args:
            first_token: tokens that all steps before it read.
        """
        num_rows, length = self._rows_RL.shape
        start, count = first_token // length, shape.tokens // length
        epochs, places = np.divmod(np.arange(start, start + count), num_rows)
        rows = np.empty(count, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            rows[epochs == epoch] = self._epoch_order(epoch)[places[epochs == epoch]]
        tokens_RL = torch.from_numpy(self._rows_RL[rows].astype(np.int64))
        return tokens_RL.view(shape.batch_size, shape.sequence_length)

    def _epoch_order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Order of the rows the n-th time, counted from 0; the last one asked for is kept."""
        if self._order[0] != epoch:
            self._order = (epoch, self._shuffled(epoch))
        return self._order[1]

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        bits = np.random.PCG64(self._seed if epoch == 0 else (self._seed, epoch))
        return np.random.Generator(bits).permutation(self._rows_RL.shape[0])


class Prefetcher:
    """Reads the batch that is probably next while the device works on this one."""

    def __init__(self, loader: RowLoader, pinned: bool) -> None:
        """Start a thread.

        Args:
            pinned: put batches where a CUDA device can fetch them while the program goes on.
        """
        self._loader = loader
        self._pinned = pinned
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._expected: tuple[int, StepShape] | None = None
        self._coming: Future[Tensor] | None = None

    def batch(self, first_token: int, shape: StepShape) -> Tensor:
        """The loader's batch; the one of that shape after it is expected next."""
        if self._coming is None or self._expected != (first_token, shape):
            self._coming = self._thread.submit(self._read, first_token, shape)
        tokens_BT = self._coming.result()
        self._expected = (first_token + shape.tokens, shape)
        self._coming = self._thread.submit(self._read, *self._expected)
        return tokens_BT

    def _read(self, first_token: int, shape: StepShape) -> Tensor:
        tokens_BT = self._loader.batch(first_token, shape)
        return tokens_BT.pin_memory() if self._pinned else tokens_BT


def _check_enough(training: TrainingConfig, available: int) -> None:
    """Make sure that a planned budget has its tokens, and one of dollars at least a row."""
    if training.dollars:
        path, needed = "training.dollars", training.row_length
    else:
        path = "training.tokens" if training.tokens else "training.steps"
        needed = plan(training).num_tokens
        needed += -needed % training.row_length
    if needed > available:
        message = (
            f"the budget asks for {needed:,} tokens; the training text has {available:,} in "
            f"whole sequences of {training.row_length}."
        )
        raise TooFewTokens([Problem(path=path, message=message)])
