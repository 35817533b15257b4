"""The training loop.

Shape suffixes: B batch, T time, R validation rows.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from core.data.loader import Prefetcher, RowLoader
from core.eval.language_modeling import (
    LanguageModelingScore,
    evaluate_language_modeling,
    validation_batch_size,
)
from core.eval.log_likelihood import Scorer
from core.model.transformer import Transformer
from core.optim.schedule import learning_rate_factor
from core.schema.experiment import ExperimentConfig
from core.schema.job import Phase
from core.schema.metric_point import MetricPoint
from core.train.checkpoint import Checkpoint
from core.train.clock import Clock
from core.train.distributed import ALONE, Processes, check_batches
from core.train.learner import Learner, LearnerState
from core.train.pace import Pace
from core.train.reporter import Reporter
from core.train.step_record import StepRecord, metric_points
from core.training_plan import StepShape

CHUNK_SECONDS = 2.0


class Validation(NamedTuple):
    """The track's constant validation text."""

    rows_RT: npt.NDArray[np.unsignedinteger]
    num_bytes: int
    """UTF-8 bytes of the tokens that are predicted."""


class Trainer:
    """A model, its optimizers, and how far they are through the budget."""

    def __init__(
        self,
        experiment: ExperimentConfig,
        seed: int,
        separator_id: int,
        loader: RowLoader,
        validation: Validation,
        pace: Pace,
        device: torch.device,
        is_compiled: bool,
        clock: Clock,
        reporter: Reporter,
        processes: Processes = ALONE,
    ) -> None:
        """Build a model, the same in every process.

        Raises:
            InvalidInput: the processes cannot share out a batch evenly.
        """
        check_batches(experiment.training, processes.size)
        self.step = 0
        self.tokens = 0
        self.stopped_early = False
        self._experiment = experiment
        self._learner = Learner(experiment, seed, separator_id, device, is_compiled, processes)
        self._batches = Prefetcher(loader, pinned=device.type == "cuda")
        self._validation = validation
        self._pace = pace
        self._spent = 0.0
        self._device = device
        self._clock = clock
        self._reporter = reporter
        self._best_loss = math.inf
        self._evaluations_without_gain = 0
        self._validated: tuple[int, LanguageModelingScore] | None = None
        self._processes = processes
        self._score = self.scorer(many_shapes=False)

    @property
    def model(self) -> Transformer:
        """The model that is trained."""
        return self._learner.model

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.stopped_early or self._spent >= 1.0

    @property
    def expected_steps(self) -> int:
        """Steps of the whole run, as far as can be foreseen."""
        return self.step if self._spent >= 1.0 else self._pace.expected_steps(self.step)

    def scorer(self, many_shapes: bool) -> Scorer:
        """Scoring by this model, which every process must ask for at the same time.

        Args:
            many_shapes: as for `ParallelModel.score`.
        """
        return self._learner.scorer(many_shapes)

    def warm_up(self) -> None:
        """Compile and allocate by a step of each shape and a validation batch on dummy tokens.

        Afterwards weights, optimizers and random number generators are as before.
        """
        self._reporter.phase(Phase.COMPILING, 0, 1)
        with self._clock.measure("compile"), self._learner.rehearsal():
            self.model.train()
            for shape in self._pace.shapes:
                self._warm_up_step(shape)
            batch = self._validation.rows_RT[: self._scored_shape().batch_size]
            self._evaluate(Validation(batch, 1), lambda *_: None)
        self._reporter.phase(Phase.COMPILING, 1, 1)

    def train(self, after_chunk: Callable[[], None]) -> None:
        """Train until the budget is spent or early stopping ends it.

        Args:
            after_chunk: called every few steps, outside the clock; may save the state, or
                raise to stop.

        Raises:
            Diverged: loss or gradient is no longer finite.
            BudgetExceeded: nothing of the budget is left for training.
        """
        self._reporter.phase(Phase.TRAINING, self.step, self.expected_steps)
        while not self.finished:
            if self._learner.can_record and not self._learner.has_records:
                with self._clock.measure("compile"):
                    self._learner.record(self._pace.shapes, self._scored_shape())
            points = self._train_chunk()
            if self._validation_due():
                score = self.validate()
                self._note_validation(score.loss)
                measured = {"val_loss": score.loss, "val_accuracy": score.accuracy}
                points[-1] = points[-1].model_copy(update=measured)
            for point in points:
                self._reporter.metric(point)
            self._reporter.phase(Phase.TRAINING, self.step, self.expected_steps)
            after_chunk()
        self._learner.forget_records()

    def validate(self) -> LanguageModelingScore:
        """Score the validation text, once for each step.

        Raises:
            Diverged: the loss is not a finite number.
        """
        if self._validated is None or self._validated[0] != self.step:
            with self._clock.measure("eval"), self.evaluated_weights():
                score = self._evaluate(
                    self._validation,
                    lambda done, total: self._reporter.phase(Phase.EVALUATING, done, total),
                )
            self._validated = (self.step, score)
        return self._validated[1]

    def evaluated_weights(self) -> AbstractContextManager[None]:
        """Within the block the model has the weights that are evaluated, such as an average."""
        return self._learner.evaluated_weights()

    def checkpoint(self) -> Checkpoint:
        """All that it takes to go on from here; its weights are those that are evaluated.

        Every process must take part, and the first one gets the tensors.
        """
        weights, rest = self._learner.state()
        return Checkpoint(
            step=self.step,
            weights=weights,
            state={
                **rest,
                "seconds": dict(self._clock.seconds),
                "tokens": self.tokens,
                "spent": self._spent,
                "best_loss": self._best_loss,
                "evaluations_without_gain": self._evaluations_without_gain,
                "stopped_early": self.stopped_early,
            },
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, before `train`; training and evaluation time count on."""
        state = checkpoint.state
        self._learner.load(LearnerState(checkpoint.weights, state), checkpoint.step)
        self.step = checkpoint.step
        self.tokens = state["tokens"]
        self._spent = state["spent"]
        self._clock.seconds["train"] = state["seconds"]["train"]
        self._clock.seconds["eval"] = state["seconds"]["eval"]
        self._best_loss = state["best_loss"]
        self._evaluations_without_gain = state["evaluations_without_gain"]
        self.stopped_early = state["stopped_early"]

    def _scored_shape(self) -> StepShape:
        """Rows and length of a validation batch."""
        num_rows, length = self._validation.rows_RT.shape
        return StepShape(validation_batch_size(num_rows, length, self._device), length)

    def _warm_up_step(self, shape: StepShape) -> None:
        """Do a step of a shape; if its time matters, another one, which compiles nothing."""
        tokens_BT = torch.randint(self._experiment.model.vocab_size, shape)
        self._learner.step(1, tokens_BT, factor=0.0, spent=0.0)
        if self._pace.needs_timing:
            self._clock.synchronize()
            started = time.perf_counter()
            self._learner.step(1, tokens_BT, factor=0.0, spent=0.0)
            self._clock.synchronize()
            self._pace.timed(shape, self._processes.agree(time.perf_counter() - started))

    def _train_chunk(self) -> list[MetricPoint]:
        """Do steps up to the next boundary, or for two seconds; return their metrics."""
        interval = self._experiment.evaluation.interval_steps
        ahead = self._pace.ahead(self.step)[: interval - self.step % interval]
        done: list[StepRecord] = []
        first_step = self.step
        seconds_before = self._clock.seconds["train"]
        self.model.train()
        with self._clock.measure("train"):
            started = time.perf_counter()
            for planned in ahead:
                tokens_BT = self._batches.batch(self.tokens, planned.shape)
                factor = learning_rate_factor(
                    self._experiment.schedule, planned.spent_before, planned.spent_after
                )
                self.step += 1
                loss, norm = self._learner.step(self.step, tokens_BT, factor, planned.spent_before)
                self.tokens += planned.shape.tokens
                self._spent = planned.spent_after
                is_recorded = planned.is_recorded or self._validation_due()
                done.append(
                    StepRecord(
                        number=self.step,
                        tokens=self.tokens,
                        shape=planned.shape,
                        loss=loss,
                        gradient_norm=norm,
                        factor=factor,
                        is_recorded=is_recorded,
                        expert_counts=self._learner.expert_counts() if is_recorded else None,
                    )
                )
                if self._processes.agree(time.perf_counter() - started) > CHUNK_SECONDS:
                    break
        seconds = self._clock.seconds["train"] - seconds_before
        per_step = seconds / (self.step - first_step)
        self._pace.timed(ahead[0].shape, per_step)
        return metric_points(done, seconds_before, per_step, self._experiment.optimizer)

    def _validation_due(self) -> bool:
        at_end = self._spent >= 1.0
        return at_end or self.step % self._experiment.evaluation.interval_steps == 0

    def _evaluate(
        self, validation: Validation, progress: Callable[[int, int], None]
    ) -> LanguageModelingScore:
        def evaluate() -> LanguageModelingScore:
            return evaluate_language_modeling(
                self._score, validation.rows_RT, validation.num_bytes, self._device, progress
            )

        self.model.eval()
        try:
            return evaluate()
        except torch.OutOfMemoryError:
            if not self._learner.has_records:
                raise
        # Here and not above: while an error is handled, it keeps the tensors of its frames.
        self._learner.forget_records()
        return evaluate()

    def _note_validation(self, loss: float) -> None:
        patience = self._experiment.training.early_stopping_evaluations
        if loss < self._best_loss:
            self._best_loss, self._evaluations_without_gain = loss, 0
        else:
            self._evaluations_without_gain += 1
        out_of_patience = 0 < patience <= self._evaluations_without_gain
        self.stopped_early = out_of_patience and self._spent < 1.0
