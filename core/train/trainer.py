"""The training loop.

Shape suffixes: B batch, T time, R validation rows.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.data.loader import RowLoader
from core.errors import Diverged
from core.eval.language_modeling import (
    LanguageModelingScore,
    evaluate_language_modeling,
    validation_batch_size,
)
from core.eval.log_likelihood import Scorer, autocast, next_token_scores, scorer
from core.model.transformer import Transformer
from core.optim.muon import orthogonalize
from core.optim.param_groups import build_optimizers
from core.optim.schedule import learning_rate_factor
from core.schema.experiment import ExperimentConfig
from core.schema.job import Phase
from core.schema.result import MetricPoint
from core.train.checkpoint import Checkpoint
from core.train.clock import Clock
from core.train.reporter import Reporter

MAX_RECORDED_STEPS = 1000
CHUNK_STEPS = 10
CHUNK_SECONDS = 2.0


class Validation(NamedTuple):
    """The track's constant validation text."""

    rows_RT: npt.NDArray[np.unsignedinteger]
    num_bytes: int
    """UTF-8 bytes of the tokens that are predicted."""


class _Recorded(NamedTuple):
    """A step whose numbers may still be on their way from the device."""

    step: int
    loss: Tensor
    gradient_norm: Tensor
    factor: float


class Trainer:
    """A model, its optimizers, and how far they are through the budget."""

    def __init__(
        self,
        experiment: ExperimentConfig,
        seed: int,
        loader: RowLoader,
        validation: Validation,
        device: torch.device,
        compiled: bool,
        clock: Clock,
        reporter: Reporter,
    ) -> None:
        self.step = 0
        self.stopped_early = False
        self.model = build_model(experiment, seed).to(device)
        self._experiment = experiment
        self._loader = loader
        self._validation = validation
        self._device = device
        self._clock = clock
        self._reporter = reporter
        self._best_loss = math.inf
        self._evaluations_without_gain = 0
        self._validated: tuple[int, LanguageModelingScore] | None = None
        self._losses = _compile(self.model.losses) if compiled else self.model.losses
        self._optimizers = build_optimizers(
            self.model,
            experiment.optimizer,
            _compile(orthogonalize) if compiled else orthogonalize,
        )
        score = _compile(next_token_scores) if compiled else next_token_scores
        self._score: Scorer = scorer(self.model, device, experiment.training.precision, score)

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.stopped_early or self.step >= self._experiment.training.num_steps

    def warm_up(self) -> None:
        """Compile and allocate by one step and one validation batch on dummy tokens.

        Afterwards weights, optimizers and random number generators are as before.
        """
        training = self._experiment.training
        self._reporter.phase(Phase.COMPILING, 0, 1)
        with self._clock.measure("compile"):
            random_state = random_states(self._device)
            weights = {
                name: parameter.detach().cpu().clone()
                for name, parameter in self.model.named_parameters()
            }
            tokens_BT = torch.randint(
                self._experiment.model.vocab_size, (training.batch_size, training.sequence_length)
            )
            self._optimizer_step(tokens_BT, factor=0.0)
            rows_RT = self._validation.rows_RT
            num_rows, length = rows_RT.shape
            batch = rows_RT[: validation_batch_size(num_rows, length, self._device)]
            self._evaluate(Validation(batch, 1), lambda *_: None)
            load_weights(self.model, weights)
            self._optimizers.muon.state.clear()
            self._optimizers.adamw.state.clear()
            set_random_states(self._device, random_state)
        self._reporter.phase(Phase.COMPILING, 1, 1)

    def train(self, after_chunk: Callable[[], None]) -> None:
        """Train until the budget is spent or early stopping ends it.

        Args:
            after_chunk: called every few steps, outside the clock; may save the state, or
                raise to stop.

        Raises:
            Diverged: loss or gradient is no longer finite.
        """
        num_steps = self._experiment.training.num_steps
        self._reporter.phase(Phase.TRAINING, self.step, num_steps)
        while not self.finished:
            points = self._train_chunk()
            if self._validation_due():
                score = self.validate()
                self._note_validation(score.loss)
                measured = {"val_loss": score.loss, "val_accuracy": score.accuracy}
                points[-1] = points[-1].model_copy(update=measured)
            for point in points:
                self._reporter.metric(point)
            self._reporter.phase(Phase.TRAINING, self.step, num_steps)
            after_chunk()

    def validate(self) -> LanguageModelingScore:
        """Score the validation text, once for each step.

        Raises:
            Diverged: the loss is not a finite number.
        """
        if self._validated is None or self._validated[0] != self.step:
            with self._clock.measure("eval"):
                score = self._evaluate(
                    self._validation,
                    lambda done, total: self._reporter.phase(Phase.EVALUATING, done, total),
                )
            self._validated = (self.step, score)
        return self._validated[1]

    def checkpoint(self) -> Checkpoint:
        """All that it takes to go on from here."""
        return Checkpoint(
            step=self.step,
            weights=dict(self.model.named_parameters()),
            state={
                "muon": self._optimizers.muon.state_dict(),
                "adamw": self._optimizers.adamw.state_dict(),
                "random": random_states(self._device),
                "seconds": dict(self._clock.seconds),
                "best_loss": self._best_loss,
                "evaluations_without_gain": self._evaluations_without_gain,
                "stopped_early": self.stopped_early,
            },
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; training and evaluation time count on."""
        state = checkpoint.state
        self.step = checkpoint.step
        load_weights(self.model, checkpoint.weights)
        self._optimizers.muon.load_state_dict(state["muon"])
        self._optimizers.adamw.load_state_dict(state["adamw"])
        set_random_states(self._device, state["random"])
        self._clock.seconds["train"] = state["seconds"]["train"]
        self._clock.seconds["eval"] = state["seconds"]["eval"]
        self._best_loss = state["best_loss"]
        self._evaluations_without_gain = state["evaluations_without_gain"]
        self.stopped_early = state["stopped_early"]

    def _train_chunk(self) -> list[MetricPoint]:
        """Do steps up to the next boundary, or for two seconds; return their metrics."""
        num_steps = self._experiment.training.num_steps
        record_every = math.ceil(num_steps / MAX_RECORDED_STEPS)
        interval = self._experiment.evaluation.interval_steps
        end = min(
            (self.step // (CHUNK_STEPS * record_every) + 1) * CHUNK_STEPS * record_every,
            (self.step // interval + 1) * interval,
            num_steps,
        )
        recorded: list[_Recorded] = []
        first_step, seconds_before = self.step, self._clock.seconds["train"]
        self.model.train()
        with self._clock.measure("train"):
            started = time.perf_counter()
            while self.step < end:
                factor = learning_rate_factor(self._experiment.schedule, self.step, num_steps)
                loss, norm = self._optimizer_step(self._loader.batch(self.step), factor)
                self.step += 1
                late = time.perf_counter() - started > CHUNK_SECONDS
                if self.step % record_every == 0 or self.step == end or late:
                    recorded.append(_Recorded(self.step, loss, norm, factor))
                if late:
                    break
        seconds = self._clock.seconds["train"] - seconds_before
        return self._points(recorded, first_step, seconds_before, seconds)

    def _optimizer_step(self, tokens_BT: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        """One step; returns mean loss and gradient norm, still on the device."""
        training, optimizer = self._experiment.training, self._experiment.optimizer
        parts = training.gradient_accumulation_steps
        if self._device.type == "cuda":
            tokens_BT = tokens_BT.pin_memory().to(self._device, non_blocking=True)
        total = torch.zeros((), device=self._device)
        for part_BT in tokens_BT.chunk(parts):
            with autocast(self._device, training.precision):
                loss, balance = self._losses(part_BT)
            ((loss + balance) / parts).backward()
            total += loss.detach() / parts
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), optimizer.gradient_clip_norm)
        self._optimizers.step(optimizer, factor)
        return total, norm

    def _points(
        self,
        recorded: list[_Recorded],
        first_step: int,
        seconds_before: float,
        seconds: float,
    ) -> list[MetricPoint]:
        """Metric points of a chunk, its time spread evenly over its steps."""
        training, optimizer = self._experiment.training, self._experiment.optimizer
        chunk_steps = self.step - first_step
        points = []
        for step, loss_tensor, norm_tensor, factor in recorded:
            loss, norm = loss_tensor.item(), norm_tensor.item()
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise Diverged(
                    f"step {step}: training loss {loss}, gradient norm {norm}; "
                    "both must be finite numbers"
                )
            points.append(
                MetricPoint(
                    step=step,
                    tokens=step * training.tokens_per_step,
                    train_seconds=seconds_before + seconds * (step - first_step) / chunk_steps,
                    train_loss=loss,
                    learning_rate=optimizer.muon.learning_rate * factor,
                    adamw_learning_rate=optimizer.adamw.learning_rate * factor,
                    gradient_norm=norm,
                    tokens_per_second=chunk_steps * training.tokens_per_step / seconds,
                )
            )
        return points

    def _validation_due(self) -> bool:
        at_end = self.step == self._experiment.training.num_steps
        return at_end or self.step % self._experiment.evaluation.interval_steps == 0

    def _evaluate(
        self, validation: Validation, progress: Callable[[int, int], None]
    ) -> LanguageModelingScore:
        self.model.eval()
        return evaluate_language_modeling(
            self._score, validation.rows_RT, validation.num_bytes, self._device, progress
        )

    def _note_validation(self, loss: float) -> None:
        patience = self._experiment.training.early_stopping_evaluations
        if loss < self._best_loss:
            self._best_loss, self._evaluations_without_gain = loss, 0
        else:
            self._evaluations_without_gain += 1
        out_of_patience = 0 < patience <= self._evaluations_without_gain
        steps_left = self.step < self._experiment.training.num_steps
        self.stopped_early = out_of_patience and steps_left


def build_model(experiment: ExperimentConfig, seed: int) -> Transformer:
    """A model on the processor whose weights the seed decides, whatever device it moves to."""
    torch.manual_seed(seed)
    longest = max(experiment.training.sequence_length, experiment.evaluation.sequence_length)
    return Transformer(experiment.model, longest)


def load_weights(model: Transformer, weights: Mapping[str, Tensor]) -> None:
    """Copy named parameters into a model; every parameter must be among them."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def random_states(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that dropout and router noise draw from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put back what `random_states` returned."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for each exact shape."""
    compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
    return compiled
