"""Scoring a checkpoint again."""

import math
from pathlib import Path

from pydantic import Field

from core.eval.language_modeling import evaluate_language_modeling
from core.eval.log_likelihood import scorer
from core.schema.base import Message
from core.schema.job import Phase
from core.schema.result import TaskScore
from core.train.checkpoint import newest_checkpoint_folder, read_checkpoint, read_spec
from core.train.device import out_of_memory_named, select_device
from core.train.environment import RunEnvironment
from core.train.measurement import open_data, score_tasks
from core.train.model_state import build_model, load_model_state
from core.train.reporter import Reporter


class Evaluation(Message):
    """Scores of a checkpoint on its track's text and tasks."""

    step: int = Field(ge=0)
    """Optimizer steps that the checkpoint has behind it."""
    val_loss: float
    """Nats per predicted token."""
    val_accuracy: float
    """Top-1 next-token accuracy."""
    val_perplexity: float
    """exp of the validation loss."""
    val_bpb: float
    """Bits per UTF-8 byte."""
    tasks: tuple[TaskScore, ...]
    """Multiple-choice scores."""
    comparability_key: str
    """Scores compare only under one key."""


def evaluate_checkpoint(
    directory: Path, environment: RunEnvironment, reporter: Reporter
) -> Evaluation:
    """Evaluate the newest checkpoint of a run folder, or a checkpoint folder.

    Raises:
        CheckpointCorrupt: there is none, or it is damaged.
        DataUnavailable: the track's text or tasks cannot be read.
    """
    folder = newest_checkpoint_folder(directory)
    spec, checkpoint = read_spec(folder), read_checkpoint(folder)
    experiment = spec.experiment
    device = select_device(environment.device)
    with out_of_memory_named(None):
        measurement = open_data(experiment, environment, reporter)
        separator_id = measurement.corpus.tokenizer.separator_id
        model = build_model(experiment, spec.seed, separator_id)
        load_model_state(model, checkpoint.weights)
        model = model.to(device).eval()
        scores = scorer(model, device, experiment.training.precision)
        score = evaluate_language_modeling(
            scores,
            measurement.validation.rows_RT,
            measurement.validation.num_bytes,
            device,
            lambda done, total: reporter.phase(Phase.EVALUATING, done, total),
        )
        tasks = score_tasks(scores, experiment, measurement, device, reporter)
    return Evaluation(
        step=checkpoint.step,
        val_loss=score.loss,
        val_accuracy=score.accuracy,
        val_perplexity=math.exp(score.loss),
        val_bpb=score.bits_per_byte,
        tasks=tasks,
        comparability_key=measurement.identity.comparability_key(spec.track, spec.track_version),
    )
