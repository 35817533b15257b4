"""Multiple-choice scores by log-likelihood, as lm-evaluation-harness takes them.

Shape suffixes: B batch, T time.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.data.question import Question
from core.data.tokenizer import Tokenizer
from core.errors import Diverged
from core.schema.experiment import TaskName
from core.schema.result import TaskScore
from core.schema.right_bits import pack_right

ROW_LENGTHS = (32, 64, 96, 128, 192, 256, 384, 512, 768)
"""Tokens to which rows are filled up; longer rows get the evaluation's sequence length."""
CUDA_BATCH_TOKENS = 16_384
"""In float32 with 49,152 entries, 3.2 GB of logits."""
CPU_BATCH_TOKENS = 8_192
_ROWS_MULTIPLE = 8


@dataclass(frozen=True)
class _Candidate:
    """A context and one choice, as tokens."""

    ids: tuple[int, ...]
    num_scored: int
    """Tokens at the end that belong to the choice."""


def score_task(
    name: TaskName,
    questions: Sequence[Question],
    tokenizer: Tokenizer,
    log_likelihoods: Callable[[Tensor], Tensor],
    sequence_length: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> TaskScore:
    """Score a task.

    `acc` takes the choice with the highest summed log-likelihood, `acc_norm` divides by the
    UTF-8 bytes of the choice without its joining space; the first of equal choices wins.

    Args:
        log_likelihoods: int64 tokens [B, T] on `device` to float32
            log p(token t + 1 | tokens up to t) [B, T - 1], causal.
        sequence_length: longest row; of a longer one the last tokens are kept.
        progress: called with (choices scored, all choices).

    Raises:
        Diverged: a log-likelihood is not a finite number.
    """
    candidates = _encode(questions, tokenizer, sequence_length)
    sums = _sums(candidates, log_likelihoods, tokenizer, sequence_length, device, progress)
    right = start = 0
    right_by_byte: list[bool] = []
    for question in questions:
        scores = sums[start : start + len(question.choices)]
        start += len(question.choices)
        num_bytes = [max(1, len(c.removeprefix(" ").encode())) for c in question.choices]
        right += int(np.argmax(scores)) == question.answer
        right_by_byte.append(int(np.argmax(scores / num_bytes)) == question.answer)
    return TaskScore(
        name=name,
        num_questions=len(questions),
        acc=right / len(questions),
        acc_norm=sum(right_by_byte) / len(questions),
        right=pack_right(right_by_byte),
    )


def _encode(
    questions: Sequence[Question], tokenizer: Tokenizer, sequence_length: int
) -> list[_Candidate]:
    """Tokens of each choice of each question.

    As in the harness, spaces at the end of a context go to the choice, the joined text is
    encoded at once, and the choice is what follows the context's own number of tokens.
    """
    contexts = [question.context.rstrip() for question in questions]
    wholes = [question.context + choice for question in questions for choice in question.choices]
    context_sizes = [len(ids) for ids in tokenizer.encode(contexts)]
    sizes = [
        size
        for size, question in zip(context_sizes, questions, strict=True)
        for _ in question.choices
    ]
    return [
        _candidate(ids, size, tokenizer.separator_id, sequence_length)
        for ids, size in zip(tokenizer.encode(wholes), sizes, strict=True)
    ]


def _candidate(
    ids: list[int], context_size: int, separator_id: int, sequence_length: int
) -> _Candidate:
    """Cut a joined text; a separator stands in for a context that has no token."""
    if context_size == 0:
        ids, context_size = [separator_id, *ids], 1
    num_scored = max(1, len(ids) - context_size)
    kept = tuple(ids[-sequence_length:])
    return _Candidate(kept, min(num_scored, len(kept) - 1))


def _sums(
    candidates: Sequence[_Candidate],
    log_likelihoods: Callable[[Tensor], Tensor],
    tokenizer: Tokenizer,
    sequence_length: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.float64]:
    """[candidates] summed log-likelihood of each choice, in nats.

    Rows of about one length share a shape, and every batch of a shape is full, so that a
    compiled model meets few shapes and a score depends on nothing but its own row.
    """
    sums = np.full(len(candidates), math.nan)
    done = 0
    for length, indices in _buckets(candidates, sequence_length).items():
        num_rows = _rows_per_batch(length, device)
        for start in range(0, len(indices), num_rows):
            batch = indices[start : start + num_rows]
            tokens, mask = _batch(
                [candidates[index] for index in batch], num_rows, length, tokenizer.separator_id
            )
            with torch.no_grad():
                log_likelihood_BT = log_likelihoods(torch.from_numpy(tokens).to(device))
                scored_BT = torch.from_numpy(mask).to(device)
                sums_B = log_likelihood_BT.where(scored_BT, 0.0).sum(dim=1, dtype=torch.float64)
            sums[batch] = sums_B[: len(batch)].cpu().numpy()
            done += len(batch)
            progress(done, len(candidates))
    if not np.isfinite(sums).all():
        raise Diverged("a choice's log-likelihood is not a finite number; the model has diverged.")
    return sums


def _buckets(candidates: Sequence[_Candidate], sequence_length: int) -> dict[int, list[int]]:
    """Row length to the candidates that are filled up to it, longest first."""
    lengths = [*(length for length in ROW_LENGTHS if length < sequence_length), sequence_length]
    buckets: dict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        buckets[next(length for length in lengths if len(candidate.ids) <= length)].append(index)
    return dict(sorted(buckets.items(), reverse=True))


def _rows_per_batch(length: int, device: torch.device) -> int:
    budget = CUDA_BATCH_TOKENS if device.type == "cuda" else CPU_BATCH_TOKENS
    return max(1, budget // length // _ROWS_MULTIPLE) * _ROWS_MULTIPLE


def _batch(
    candidates: Sequence[_Candidate], num_rows: int, length: int, filler: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Tokens [B, T] filled up on the right, and which predictions [B, T - 1] are scored."""
    tokens = np.full((num_rows, length), filler, dtype=np.int64)
    mask = np.zeros((num_rows, length - 1), dtype=np.bool_)
    for row, candidate in enumerate(candidates):
        end = len(candidate.ids)
        tokens[row, :end] = candidate.ids
        mask[row, end - 1 - candidate.num_scored : end - 1] = True
    return tokens, mask
