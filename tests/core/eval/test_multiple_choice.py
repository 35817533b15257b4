import math
import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from core.data.question import Question
from core.data.synthetic import World
from core.data.tokenizer import load_tokenizer
from core.errors import Diverged
from core.eval import multiple_choice
from core.eval.multiple_choice import score_task
from core.schema.mirror import Mirror
from core.schema.result import TaskScore
from core.schema.right_bits import pack_right

CPU = torch.device("cpu")
LENGTH = 128
SYNTHETIC = load_tokenizer("synthetic", "<|endoftext|>", Mirror())


class ByteTokenizer:
    """One token a byte, so that figures can be worked by hand."""

    separator_id = 256

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]


BYTES = ByteTokenizer()


def ignore(done: int, total: int) -> None:
    pass


def score(questions, log_likelihoods) -> TaskScore:
    return score_task("synthetic_world", questions, BYTES, log_likelihoods, LENGTH, CPU, ignore)


def sums(questions, log_likelihoods, tokenizer=BYTES, length: int = LENGTH) -> list[float]:
    candidates = multiple_choice._encode(questions, tokenizer, length)
    return multiple_choice._sums(
        candidates, log_likelihoods, tokenizer, length, CPU, ignore
    ).tolist()


def one_nat_each(tokens_BT: Tensor) -> Tensor:
    return torch.full((tokens_BT.shape[0], tokens_BT.shape[1] - 1), -1.0)


def minus_token_id(tokens_BT: Tensor) -> Tensor:
    return -tokens_BT[:, 1:].float()


class TinyCausalModel(nn.Module):
    """One causal attention layer on random weights."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        width = 32
        self.embedding = torch.randn(1024, width, generator=generator)
        self.head = torch.randn(width, 1024, generator=generator)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x = self.embedding[tokens_BT][:, None]
        mixed = nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
        logits = (mixed[:, 0, :-1] + x[:, 0, :-1]) @ self.head
        log_probabilities = logits.log_softmax(-1)
        return log_probabilities.gather(-1, tokens_BT[:, 1:, None]).squeeze(-1)


def test_only_the_tokens_of_the_choice_count():
    question = Question("who", (" ab", " c"), 0)
    assert sums([question], one_nat_each) == [-3.0, -2.0]
    # Bytes: space 32, a 97, b 98, c 99.
    assert sums([question], minus_token_id) == [-227.0, -131.0]


def test_acc_takes_the_sum_and_acc_norm_the_mean_per_byte():
    def cost(tokens_BT: Tensor) -> Tensor:
        return torch.where(tokens_BT[:, 1:] == ord("q"), -0.5, -1.0)

    # Sums -1 and -1.5; per byte -1 / 1 and -1.5 / 3.
    question = Question("x", ("z", "qqq"), 1)
    assert sums([question], cost) == [-1.0, -1.5]
    result = score([question], cost)
    assert (result.acc, result.acc_norm) == (0.0, 1.0)
    assert result.num_questions == 1


@pytest.mark.parametrize(
    ("choices", "best_by_byte"),
    [
        # Sums -2 and -5. Without the joining space 1 and 4 bytes: -2 and -1.25.
        ((" x", " yyyy"), 1),
        # Two letters of two bytes each are four bytes as well.
        ((" x", " éé"), 1),
        # Of two spaces one counts: -3 / 2 and -3 / 2, and the first of equal ones wins.
        (("  x", " yy"), 0),
    ],
)
def test_bytes_are_those_of_the_choice_without_its_joining_space(choices, best_by_byte):
    result = score([Question("a", choices, best_by_byte)], one_nat_each)
    assert result.acc_norm == 1.0


def test_the_first_of_equal_choices_wins():
    questions = [Question("a", (" x", " y"), 0), Question("a", (" x", " y"), 1)]
    result = score(questions, one_nat_each)
    assert (result.acc, result.acc_norm) == (0.5, 0.5)


def test_a_score_keeps_which_questions_acc_norm_counts_in_their_order():
    # The first choice always wins; lengths differ, so that batches have another order.
    answers = [0, 1, 0, 0, 1, 1, 1, 0, 1, 0]
    sizes = [90, 2, 40, 3, 100, 1, 60, 5, 70, 2]
    questions = [
        Question("a" * size, (" x", " y"), answer)
        for size, answer in zip(sizes, answers, strict=True)
    ]
    result = score(questions, one_nat_each)
    assert result.right == pack_right([answer == 0 for answer in answers])
    assert result.acc_norm == 0.5


def test_the_debug_tracks_questions_are_kept_one_by_one():
    model = TinyCausalModel()
    questions = World(0).questions()[:50]
    together = score_task("synthetic_world", questions, SYNTHETIC, model, LENGTH, CPU, ignore)
    alone = [
        score_task("synthetic_world", [one], SYNTHETIC, model, LENGTH, CPU, ignore).acc_norm == 1.0
        for one in questions
    ]
    assert together.right == pack_right(alone)
    assert 0 < sum(alone) < 50


def test_spaces_at_the_end_of_the_context_go_to_the_choice():
    moved = Question("Mira lives in ", ("Bormere", "x"), 0)
    plain = Question("Mira lives in", (" Bormere", " x"), 0)
    assert sums([moved], one_nat_each) == [-8.0, -2.0]
    model = TinyCausalModel()
    assert sums([moved], model, SYNTHETIC) == sums([plain], model, SYNTHETIC)


def test_an_empty_context_starts_with_the_separator():
    seen = []

    def look(tokens_BT: Tensor) -> Tensor:
        seen.extend(tokens_BT[:2, :3].tolist())
        return one_nat_each(tokens_BT)

    assert sums([Question("", ("ab", "c"), 0)], look) == [-2.0, -1.0]
    # Rows are filled up with separators.
    assert seen == [[256, 97, 98], [256, 99, 256]]


def test_a_long_row_keeps_its_last_tokens():
    seen = []

    def look(tokens_BT: Tensor) -> Tensor:
        seen.append(tokens_BT)
        return one_nat_each(tokens_BT)

    # The second choice is longer than a row: all that a row of 8 can predict counts.
    question = Question("abcdefghij", (" xy", " klmnopqrst"), 0)
    assert sums([question], look, length=8) == [-3.0, -7.0]
    assert bytes(seen[0][0].tolist()) == b"fghij xy"
    assert bytes(seen[0][1].tolist()) == b"mnopqrst"


def test_scores_are_bitwise_the_same_whatever_else_is_scored():
    model = TinyCausalModel()
    questions = list(World(0).questions()[:120])
    together = sums(questions, model, SYNTHETIC)
    alone = [value for question in questions[:25] for value in sums([question], model, SYNTHETIC)]
    assert alone == together[:100]
    order = list(range(len(questions)))
    random.Random(1).shuffle(order)
    shuffled = sums([questions[index] for index in order], model, SYNTHETIC)
    for place, index in enumerate(order):
        assert shuffled[4 * place : 4 * place + 4] == together[4 * index : 4 * index + 4]


def test_batched_sums_are_those_of_one_row_without_filling():
    model = TinyCausalModel()
    questions = World(0).questions()[:20]
    expected = []
    for question in questions:
        for choice in question.choices:
            context, whole = SYNTHETIC.encode([question.context, question.context + choice])
            scored = len(whole) - len(context)
            expected.append(model(torch.tensor([whole]))[0, -scored:].sum().item())
    assert sums(questions, model, SYNTHETIC) == pytest.approx(expected, rel=1e-5)


def test_batches_have_few_shapes_and_progress_counts_choices():
    shapes, calls = set(), []

    def look(tokens_BT: Tensor) -> Tensor:
        shapes.add(tuple(tokens_BT.shape))
        return one_nat_each(tokens_BT)

    questions = [Question("ab" * size, (" x", " y"), 0) for size in range(1, 63)]
    score_task("arc_easy", questions, BYTES, look, LENGTH, CPU, lambda *done: calls.append(done))
    # 8,192 tokens a batch, in a multiple of eight rows.
    assert shapes == {(256, 32), (128, 64), (80, 96), (64, 128)}
    assert calls[-1] == (124, 124)
    assert calls == sorted(calls)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_model_that_diverged_has_no_score(value):
    with pytest.raises(Diverged):
        score([Question("a", (" x", " y"), 0)], lambda tokens: one_nat_each(tokens) * value)
