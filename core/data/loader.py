"""Training batches in an order that the seed alone decides."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import TooFewTokens
from core.schema.experiment import TrainingConfig
from core.schema.problem import Problem


class RowLoader:
    """Cuts training tokens into rows and reads each row at most once, in a shuffled order.

    The order depends on the seed and on the number of rows. Batch n is always the same rows,
    whichever batches were read before, so a resumed run reads what it would have read.
    Shape suffixes: B batch, T time.
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
        self._length = training.sequence_length
        self._batch_size = training.batch_size
        num_rows = tokens.shape[0] // self._length
        needed_rows = training.num_steps * training.batch_size
        if needed_rows > num_rows:
            message = (
                f"the budget asks for {needed_rows * self._length:,} tokens; the training text "
                f"has {num_rows * self._length:,} in whole sequences of {self._length}."
            )
            raise TooFewTokens([Problem(path="training.tokens", message=message)])
        self._rows = tokens[: num_rows * self._length].reshape(num_rows, self._length)
        self._order = np.random.Generator(np.random.PCG64(seed)).permutation(num_rows)

    def batch(self, step: int) -> Tensor:
        """Int64 tokens [B, T] of a step, counted from 0."""
        start = step * self._batch_size
        rows_BT = self._rows[self._order[start : start + self._batch_size]]
        return torch.from_numpy(rows_BT.astype(np.int64))
