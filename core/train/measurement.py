"""Opening a track's data, and scoring a model on it: what a run and an evaluation share."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.data.corpus_cache import tokens_hash
from core.data.packing import PackedCorpus, prepare
from core.data.question import Question
from core.errors import DataUnavailable, Interrupted, InvalidInput
from core.eval.language_modeling import num_predicted_bytes
from core.eval.log_likelihood import Scorer
from core.eval.multiple_choice import score_task
from core.eval.tasks import load_task, questions_hash
from core.schema.experiment import ExperimentConfig, TaskName
from core.schema.job import Phase
from core.schema.problem import Problem
from core.schema.result import DataIdentity, TaskScore
from core.train.environment import RunEnvironment
from core.train.reporter import Reporter
from core.train.trainer import Validation


@dataclass(frozen=True)
class Measurement:
    """The data of an experiment, as loaded."""

    corpus: PackedCorpus
    validation: Validation
    questions: dict[TaskName, tuple[Question, ...]]
    identity: DataIdentity


def open_data(
    experiment: ExperimentConfig, environment: RunEnvironment, reporter: Reporter
) -> Measurement:
    """Prepare or open tokens and questions, and take their hashes.

    Raises:
        DataUnavailable: something cannot be read.
        InvalidInput: the tokenizer does not fit the model.
        Interrupted: the reporter asks to stop.
    """
    data, evaluation = experiment.data, experiment.evaluation

    def progress(done: int, total: int) -> None:
        reporter.phase(Phase.PREPARING_DATA, done, total)
        _stop_if_asked(reporter, "while preparing data")

    progress(0, data.num_documents)
    corpus = prepare(data, environment.mirror, environment.cache_directory, progress)
    _check_vocabulary(experiment, corpus.tokenizer.vocab_size)
    rows_RT = corpus.validation_rows(evaluation.sequence_length, evaluation.validation_rows)
    questions = {name: load_task(name, data, environment.mirror) for name in evaluation.tasks}
    validation = Validation(rows_RT, num_predicted_bytes(rows_RT, corpus.tokenizer.token_bytes()))
    return Measurement(
        corpus=corpus,
        validation=validation,
        questions=questions,
        identity=DataIdentity(
            tokenizer_hash=corpus.tokenizer.hash,
            train_hash=corpus.train_hash,
            train_tokens=corpus.train.shape[0],
            validation_hash=tokens_hash(rows_RT),
            validation_tokens=rows_RT.shape[0] * (rows_RT.shape[1] - 1),
            validation_bytes=validation.num_bytes,
            evaluation_hash=questions_hash(list(questions.values())),
        ),
    )


def require_expected(
    identity: DataIdentity, expected: DataIdentity | None, is_mirror: bool
) -> None:
    """Stop before the first step where the data is not the track's.

    A mirror is other data on purpose: its results have a comparability key of their own.

    Raises:
        DataUnavailable: the data is not what the track expects; the message names the parts.
    """
    if expected is None or is_mirror:
        return
    if different := identity.other_parts(expected):
        raise DataUnavailable(
            f"the data of this machine is not the track's: {different} differ. Empty the cache "
            "folder, or name a mirror if local files should stand in for the hub's."
        )


def reads_mirror(experiment: ExperimentConfig, environment: RunEnvironment) -> bool:
    """Whether local files stand in for the hub's."""
    mirror = environment.mirror
    return experiment.data.source.kind == "hub" and bool(mirror.datasets or mirror.tokenizers)


def score_tasks(
    score: Scorer,
    experiment: ExperimentConfig,
    measurement: Measurement,
    device: torch.device,
    reporter: Reporter,
) -> tuple[TaskScore, ...]:
    """Score a model on every task of its track.

    Args:
        score: by the model in evaluation mode; not compiled, because rows have many lengths.

    Raises:
        Interrupted: the reporter asks to stop.
    """

    def log_likelihoods(tokens_BT: Tensor) -> Tensor:
        return score(tokens_BT)[0]

    def progress(before: int, scored: int, _: int) -> None:
        reporter.phase(Phase.EVALUATING, before + scored, total)
        _stop_if_asked(reporter, "while scoring tasks; the trained model is kept")

    total = sum(_num_choices(questions) for questions in measurement.questions.values())
    done = 0
    scores: list[TaskScore] = []
    for name, questions in measurement.questions.items():
        scores.append(
            score_task(
                name,
                questions,
                measurement.corpus.tokenizer,
                log_likelihoods,
                experiment.evaluation.sequence_length,
                device,
                partial(progress, done),
            )
        )
        done += _num_choices(questions)
    return tuple(scores)


def _stop_if_asked(reporter: Reporter, moment: str) -> None:
    if reporter.should_stop():
        raise Interrupted(f"stopped {moment}")


def _num_choices(questions: tuple[Question, ...]) -> int:
    return sum(len(question.choices) for question in questions)


def _check_vocabulary(experiment: ExperimentConfig, tokenizer_size: int) -> None:
    if tokenizer_size > experiment.model.vocab_size:
        message = (
            f"{experiment.model.vocab_size} is smaller than the tokenizer's {tokenizer_size} "
            "entries."
        )
        raise InvalidInput([Problem(path="model.vocab_size", message=message)])
