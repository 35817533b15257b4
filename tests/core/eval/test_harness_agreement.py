"""Scores of the same weights, questions and tokenizer by lm-evaluation-harness itself.

Shape suffixes: T time, V vocabulary.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from core.data.question import Question
from core.data.record_files import find_files
from core.data.sources import mirrored
from core.data.tokenizer import Tokenizer, load_tokenizer
from core.eval import multiple_choice
from core.eval.log_likelihood import scorer
from core.eval.multiple_choice import score_task
from core.eval.tasks import load_task
from core.model.transformer import Transformer
from core.schema.experiment import DataConfig, HubSource, TaskName
from core.schema.mirror import Mirror
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig
from core.schema.result import TaskScore
from runner.runs.mirror_file import read_mirror

lm_eval = pytest.importorskip("lm_eval")
TemplateLM = pytest.importorskip("lm_eval.api.model").TemplateLM
TaskManager = pytest.importorskip("lm_eval.tasks").TaskManager
if "FIVE_DOLLAR_TEST_MIRROR" not in os.environ:
    pytest.skip(
        "FIVE_DOLLAR_TEST_MIRROR names no mirror file with the questions and the tokenizer",
        allow_module_level=True,
    )

# What the harness and its own dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
TOKENIZER = "HuggingFaceTB/SmolLM-135M"
LENGTH = 256
"""Longer than any question in the tokens of `TOKENIZER`."""
NUM_QUESTIONS = int(os.environ.get("FIVE_DOLLAR_TEST_QUESTIONS", "500"))
TASKS: dict[TaskName, tuple[str, str, str, str]] = {
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", "test", "arc/arc_easy.yaml"),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", "test", "arc/arc_challenge.yaml"),
    "hellaswag": ("Rowan/hellaswag", "default", "validation", "hellaswag/hellaswag.yaml"),
}
"""Data set, subset, split, and the harness's own definition of the task."""
STEPS = 40
"""Of training, so that common words are likely and preferences are slight."""


@dataclass(frozen=True)
class Answered:
    """What one side says of one question."""

    log_likelihoods: tuple[float, ...]
    acc: float
    acc_by_byte: float
    acc_by_character: float | None = None
    """The harness's `acc_norm`."""


class HarnessRequests(TemplateLM):
    """Keeps what the harness asks, in tokens that the harness itself joined and cut."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.requests: list[tuple[list[int], list[int]]] = []

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    def tok_encode(self, string: str, add_special_tokens=None, **kwargs) -> list[int]:
        return self.tokenizer.encode(string)

    def _loglikelihood_tokens(self, requests, **kwargs) -> list[tuple[float, bool]]:
        self.requests = [(context, continuation) for _, context, continuation in requests]
        return [self.log_likelihood(*request) for request in self.requests]

    def log_likelihood(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        return 0.0, False

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError


class PlainModel(HarnessRequests):
    """Our weights behind the harness: one row at a time, nothing filled up, all logits."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: Transformer) -> None:
        super().__init__(tokenizer)
        self._model = model

    @torch.no_grad()
    def log_likelihood(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        row_T = torch.tensor(context + continuation)
        logits_TV = self._model(row_T[None, :-1])[0][0, -len(continuation) :]
        chosen_T = torch.tensor(continuation)
        scored_T = logits_TV.log_softmax(-1).gather(-1, chosen_T[:, None])
        is_greedy = torch.equal(logits_TV.argmax(-1), chosen_T)
        return float(scored_T.double().sum()), is_greedy


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return read_mirror(Path(os.environ["FIVE_DOLLAR_TEST_MIRROR"]))


@pytest.fixture(scope="module")
def tokenizer(mirror) -> Tokenizer:
    return load_tokenizer(TOKENIZER, "<|endoftext|>", mirror)


@pytest.fixture(scope="module")
def library_tokenizer(mirror) -> PreTrainedTokenizerBase:
    """The same tokenizer, loaded as the harness loads it."""
    return AutoTokenizer.from_pretrained(mirror.tokenizers[TOKENIZER])


@pytest.fixture(scope="module")
def questions(mirror) -> dict[TaskName, tuple[Question, ...]]:
    data = DataConfig(
        source=HubSource(kind="hub", dataset="owner/name"), tokenizer=TOKENIZER, num_documents=10
    )
    return {name: load_task(name, data, mirror) for name in TASKS}


@pytest.fixture(scope="module", params=["drawn", "trained"])
def model(request, questions, tokenizer) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        num_layers=2,
        attention=AttentionConfig(num_heads=2),
        feed_forward=FeedForwardConfig(hidden_size=128, num_experts=4),
        # Logits of a few nats, so that drawn weights have strong preferences.
        init_std=0.3 if request.param == "drawn" else 0.02,
    )
    network = Transformer(config, LENGTH, tokenizer.separator_id)
    if request.param == "trained":
        train(network, [q for task in questions.values() for q in task[::10]], tokenizer)
    return network.eval()


def train(network: Transformer, known: Sequence[Question], tokenizer: Tokenizer) -> None:
    """A few steps on questions with their right answers."""
    texts = [question.context + question.choices[question.answer] for question in known]
    ids = [token for text in tokenizer.encode(texts) for token in (*text, tokenizer.separator_id)]
    rows = torch.tensor(ids[: len(ids) // 128 * 128]).view(-1, 128)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(STEPS):
        loss, auxiliary = network.losses(rows[torch.randint(len(rows), (8,))])
        (loss + auxiliary).backward()
        optimizer.step()
        optimizer.zero_grad()


def chosen_indices(questions: Sequence[Question]) -> list[int]:
    """Those whose answers have more bytes than characters, then evenly spread ones."""
    indices = [i for i, q in enumerate(questions) if not "".join(q.choices).isascii()]
    spread = np.linspace(0, len(questions) - 1, min(NUM_QUESTIONS, len(questions)))
    return sorted({*indices, *spread.astype(int).tolist()})


def ours(name, questions, model, tokenizer, monkeypatch) -> list[Answered]:
    """Sums as in a run; then each question alone goes through our choice with its own sums."""
    score = scorer(model, CPU, "float32")
    candidates = multiple_choice._encode(questions, tokenizer, LENGTH)
    sums = multiple_choice._sums(
        candidates, lambda tokens: score(tokens)[0], tokenizer, LENGTH, CPU, lambda *_: None
    )

    def scored(some: Sequence[Question], some_sums: np.ndarray) -> TaskScore:
        monkeypatch.setattr(multiple_choice, "_sums", lambda *_: some_sums)
        return score_task(name, some, tokenizer, lambda _: None, LENGTH, CPU, lambda *_: None)

    ends = np.cumsum([len(question.choices) for question in questions])
    answers = []
    for question, part in zip(questions, np.split(sums, ends[:-1]), strict=True):
        alone = scored([question], part)
        answers.append(Answered(tuple(part.tolist()), alone.acc, alone.acc_norm))
    together = scored(questions, sums)
    assert together.acc == pytest.approx(np.mean([answer.acc for answer in answers]))
    assert together.acc_norm == pytest.approx(np.mean([answer.acc_by_byte for answer in answers]))
    return answers


def harness_task(name: TaskName, mirror: Mirror, folder: Path) -> Path:
    """The harness's own task, unchanged but for where its rows are and one more metric."""
    dataset, subset, split, definition = TASKS[name]
    location = mirrored(dataset, subset, mirror)
    assert location is not None, f"the mirror has no {dataset}/{subset}"
    files = [str(file) for file in find_files(location, split)]
    path = folder / f"{name}.yaml"
    document = {
        "include": str(Path(lm_eval.__file__).parent / "tasks" / definition),
        "dataset_path": "parquet" if files[0].endswith(".parquet") else "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: files}, "cache_dir": str(folder)},
        "training_split": None,
        "validation_split": split if split == "validation" else None,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in ("acc", "acc_norm", "acc_bytes")
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def theirs(name, indices, model: PlainModel, mirror, folder) -> list[Answered]:
    """The harness's own evaluation, from rows to scores."""
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[str(harness_task(name, mirror, folder))],
        task_manager=TaskManager(include_defaults=False),
        samples={name: indices},
        bootstrap_iters=0,
    )
    samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
    assert [sample["doc_id"] for sample in samples] == indices
    return [
        Answered(
            tuple(log_likelihood for log_likelihood, _ in sample["filtered_resps"]),
            sample["acc"],
            sample["acc_bytes"],
            sample["acc_norm"],
        )
        for sample in samples
    ]


@pytest.mark.parametrize("name", TASKS)
def test_all_questions_are_the_harness_questions_token_by_token(
    name, questions, tokenizer, library_tokenizer, mirror, tmp_path
):
    path = str(harness_task(name, mirror, tmp_path))
    task = TaskManager(include_defaults=False).load(path)["tasks"][name]
    task.build_all_requests()
    harness = HarnessRequests(library_tokenizer)
    harness.loglikelihood(task.instances, disable_tqdm=True)
    asked = [(q.context, choice) for q in questions[name] for choice in q.choices]
    assert asked == [instance.args for instance in task.instances]
    assert [q.answer for q in questions[name]] == [task.doc_to_target(d) for d in task.eval_docs]
    candidates = multiple_choice._encode(questions[name], tokenizer, LENGTH)
    for candidate, (context, continuation) in zip(candidates, harness.requests, strict=True):
        assert list(candidate.ids) == context + continuation
        assert candidate.num_scored == len(continuation)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TASKS)
def test_each_question_scores_as_in_the_harness(
    name, questions, model, tokenizer, library_tokenizer, mirror, tmp_path, monkeypatch
):
    indices = chosen_indices(questions[name])
    asked = [questions[name][index] for index in indices]
    our = ours(name, asked, model, tokenizer, monkeypatch)
    their = theirs(name, indices, PlainModel(library_tokenizer, model), mirror, tmp_path)
    differences = [
        abs(a - b)
        for mine, other in zip(our, their, strict=True)
        for a, b in zip(mine.log_likelihoods, other.log_likelihoods, strict=True)
    ]
    logger.info(
        "%s: %d questions, acc %.4f, acc_norm %.4f; log-likelihoods within %.1e; differing in acc "
        "%d, acc_norm and acc_bytes %d, acc_norm and their acc_norm by characters %d",
        name,
        len(our),
        np.mean([mine.acc for mine in our]),
        np.mean([mine.acc_by_byte for mine in our]),
        max(differences),
        sum(a.acc != b.acc for a, b in zip(our, their, strict=True)),
        sum(a.acc_by_byte != b.acc_by_byte for a, b in zip(our, their, strict=True)),
        sum(a.acc_by_byte != b.acc_by_character for a, b in zip(our, their, strict=True)),
    )
    assert max(differences) < 1e-3
    assert [mine.acc for mine in our] == [other.acc for other in their]
    assert [mine.acc_by_byte for mine in our] == [other.acc_by_byte for other in their]
    for question, mine, other in zip(asked, our, their, strict=True):
        if "".join(question.choices).isascii():
            assert mine.acc_by_byte == other.acc_by_character
