"""The training loop.

Shape suffixes: B batch, T time, R validation rows.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.data.loader import Prefetcher, RowLoader
from core.eval.language_modeling import (
    LanguageModelingScore,
    evaluate_language_modeling,
    validation_batch_size,
)
from core.eval.log_likelihood import Scorer, autocast, next_token_scores, scorer
from core.model.transformer import Transformer
from core.optim.muon import StackUpdate, update_stack
from core.optim.param_groups import build_optimizers
from core.optim.schedule import learning_rate_factor
from core.optim.share_update import ShareUpdate
from core.optim.weight_average import WeightAverage
from core.schema.experiment import ExperimentConfig
from core.schema.job import Phase
from core.schema.result import MetricPoint
from core.tensor_shares import full_tensors
from core.train.checkpoint import Checkpoint
from core.train.clock import Clock
from core.train.compilation import compiled
from core.train.distributed import ALONE, Processes, check_batches
from core.train.model_state import (
    build_model,
    load_model_state,
    model_state,
    random_states,
    seed_process,
    set_random_states,
)
from core.train.optimizer_state import load_optimizer_state, optimizer_state
from core.train.pace import Pace
from core.train.parallel_model import ParallelModel
from core.train.reporter import Reporter
from core.train.step_graph import StepGraph
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
        self.model = build_model(experiment, seed, separator_id)
        self._experiment = experiment
        self._seed = seed
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
        self._parallel = ParallelModel(
            self.model, processes, device, experiment.training.precision, is_compiled
        )
        self._optimizers = build_optimizers(
            self.model, experiment.optimizer, _stack_update(processes, is_compiled)
        )
        self._records_steps = is_compiled and device.type == "cuda" and processes.size == 1
        self._graphs: dict[StepShape, StepGraph] = {}
        seed_process(seed, processes.rank)
        decay = experiment.optimizer.ema_decay
        self._average = WeightAverage(self.model, decay) if decay else None
        self._score = self.scorer(many_shapes=False)

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
        own = scorer(
            self.model,
            self._device,
            self._experiment.training.precision,
            lambda _, tokens_BT: self._parallel.score(next_token_scores, tokens_BT, many_shapes),
        )
        return self._processes.shared_scorer(own)

    def warm_up(self) -> None:
        """Compile and allocate by a step of each shape and a validation batch on dummy tokens.

        Afterwards weights, optimizers and random number generators are as before.
        """
        self._reporter.phase(Phase.COMPILING, 0, 1)
        with self._clock.measure("compile"):
            random_state = random_states(self._device)
            state = {name: tensor.cpu().clone() for name, tensor in model_state(self.model).items()}
            self.model.train()
            for shape in self._pace.shapes:
                self._warm_up_step(shape)
            rows_RT = self._validation.rows_RT
            num_rows, length = rows_RT.shape
            batch = rows_RT[: validation_batch_size(num_rows, length, self._device)]
            self._evaluate(Validation(batch, 1), lambda *_: None)
            load_model_state(self.model, state)
            self._optimizers.clear()
            if self._average is not None:
                self._average.load(state)
            set_random_states(self._device, random_state)
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
        if self._records_steps and not self.finished:
            with self._clock.measure("compile"):
                self._record_steps()
        self._reporter.phase(Phase.TRAINING, self.step, self.expected_steps)
        while not self.finished:
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

    @contextmanager
    def evaluated_weights(self) -> Iterator[None]:
        """Within the block the model has the weights that are evaluated, such as an average."""
        if self._average is None:
            yield
        else:
            with self._average.in_place():
                yield

    def checkpoint(self) -> Checkpoint:
        """All that it takes to go on from here; its weights are those that are evaluated.

        Every process must take part, and the first one gets the tensors. They are whole, so that
        any number of processes can go on.
        """
        keep = self._processes.is_main
        own = full_tensors(model_state(self.model), keep)
        averaged = full_tensors(self._average.weights, keep) if self._average is not None else {}
        muon = optimizer_state(self.model, self._optimizers.muon, keep)
        adamw = optimizer_state(self.model, self._optimizers.adamw, keep)
        random, *others = self._processes.gather(random_states(self._device))
        return Checkpoint(
            step=self.step,
            weights=own | averaged,
            state={
                "trained_weights": {name: own[name] for name in averaged},
                "muon": muon,
                "adamw": adamw,
                "random": random,
                "random_of_others": others,
                "seconds": dict(self._clock.seconds),
                "tokens": self.tokens,
                "spent": self._spent,
                "best_loss": self._best_loss,
                "evaluations_without_gain": self._evaluations_without_gain,
                "stopped_early": self.stopped_early,
            },
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; training and evaluation time count on."""
        state = checkpoint.state
        self.step = checkpoint.step
        self.tokens = state["tokens"]
        self._spent = state["spent"]
        load_model_state(self.model, {**checkpoint.weights, **state["trained_weights"]})
        if self._average is not None:
            self._average.load(checkpoint.weights)
        load_optimizer_state(self.model, self._optimizers.muon, state["muon"])
        load_optimizer_state(self.model, self._optimizers.adamw, state["adamw"])
        random = [state["random"], *state["random_of_others"]]
        if self._processes.rank < len(random):
            set_random_states(self._device, random[self._processes.rank])
        else:
            seed_process(self._seed + self.step, self._processes.rank)
        self._clock.seconds["train"] = state["seconds"]["train"]
        self._clock.seconds["eval"] = state["seconds"]["eval"]
        self._best_loss = state["best_loss"]
        self._evaluations_without_gain = state["evaluations_without_gain"]
        self.stopped_early = state["stopped_early"]

    def _warm_up_step(self, shape: StepShape) -> None:
        """Do a step of a shape; if its time matters, another one, which compiles nothing."""
        tokens_BT = torch.randint(self._experiment.model.vocab_size, shape)
        self._optimizer_step(tokens_BT, factor=0.0, spent=0.0)
        if self._pace.needs_timing:
            self._clock.synchronize()
            started = time.perf_counter()
            self._optimizer_step(tokens_BT, factor=0.0, spent=0.0)
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
                loss, norm = self._optimizer_step(tokens_BT, factor, planned.spent_before)
                self.step += 1
                self.tokens += planned.shape.tokens
                self._spent = planned.spent_after
                is_recorded = planned.is_recorded or self._validation_due()
                done.append(
                    StepRecord(
                        self.step, self.tokens, planned.shape, loss, norm, factor, is_recorded
                    )
                )
                if self._processes.agree(time.perf_counter() - started) > CHUNK_SECONDS:
                    break
        seconds = self._clock.seconds["train"] - seconds_before
        per_step = seconds / (self.step - first_step)
        self._pace.timed(ahead[0].shape, per_step)
        return metric_points(done, seconds_before, per_step, self._experiment.optimizer)

    def _optimizer_step(
        self, tokens_BT: Tensor, factor: float, spent: float
    ) -> tuple[Tensor, Tensor]:
        """One step; returns mean loss and gradient norm, still on the device.

        Args:
            factor: share of the peak learning rates.
            spent: share of the budget that is spent before the step.
        """
        parts = self._experiment.training.gradient_accumulation_steps
        self._optimizers.set_rates(factor, spent)
        graph = self._graphs.get(StepShape(*tokens_BT.shape))
        tokens_BT = self._processes.own_rows(tokens_BT, parts)
        if graph is not None:
            loss, norm = graph(tokens_BT)
        else:
            loss, norm = self._update_weights(tokens_BT.to(self._device, non_blocking=True))
        if self._average is not None:
            self._average.update(self.step + 1)
        return self._processes.mean(loss), norm

    def _update_weights(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, gradients and update, all on the device; returns mean loss and gradient norm."""
        training = self._experiment.training
        parts = training.gradient_accumulation_steps
        total = torch.zeros((), device=self._device)
        for part, part_BT in enumerate(tokens_BT.chunk(parts), start=1):
            with self._parallel.accumulating(is_last=part == parts):
                with autocast(self._device, training.precision):
                    loss, auxiliary = self._parallel.train(Transformer.losses, part_BT)
                ((loss + auxiliary) / parts).backward()
            total += loss.detach() / parts
        norm = self._optimizers.step()
        self.model.after_step()
        return total, norm

    def _record_steps(self) -> None:
        """Record a step of each shape, to replay them from here on."""
        self.model.train()
        for shape in self._pace.shapes:
            self._graphs[shape] = StepGraph(self._update_weights, shape)

    def _validation_due(self) -> bool:
        at_end = self._spent >= 1.0
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
        self.stopped_early = out_of_patience and self._spent < 1.0


def _stack_update(processes: Processes, is_compiled: bool) -> StackUpdate:
    """Muon's update of whole parameters, or of this process's shares of them."""

    def prepared(function: Callable[..., Any]) -> Callable[..., Any]:
        return compiled(function) if is_compiled else function

    return ShareUpdate(prepared) if processes.is_sharded else prepared(update_stack)
