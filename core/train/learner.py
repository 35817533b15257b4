"""A model and what moves its weights: steps of its optimizers, and their moving average.

Shape suffixes: B batch, T time, L layers with experts, E experts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from core.eval.log_likelihood import Scorer, autocast, next_token_scores, scorer
from core.model.transformer import Transformer
from core.optim.muon import StackUpdate, update_stack
from core.optim.param_groups import build_optimizers
from core.optim.share_update import ShareUpdate
from core.optim.weight_average import WeightAverage
from core.schema.experiment import ExperimentConfig
from core.tensor_shares import full_tensors
from core.train.compilation import compiled
from core.train.distributed import Processes
from core.train.model_state import (
    build_model,
    load_model_state,
    model_state,
    random_states,
    seed_process,
    set_random_states,
)
from core.train.optimizer_state import load_optimizer_state, optimizer_state
from core.train.parallel_model import ParallelModel
from core.train.step_graph import StepGraph
from core.training_plan import StepShape


class LearnerState(NamedTuple):
    """What a learner needs to go on; in a process that is not the first, without tensors."""

    weights: Mapping[str, Tensor]
    """Those that are evaluated, and buffers."""
    rest: Mapping[str, Any]
    """Weights that an average displaced, optimizers, random number generators."""


class Learner:
    """A model that learns a batch at a time, alone or together with those of other processes."""

    def __init__(
        self,
        experiment: ExperimentConfig,
        seed: int,
        separator_id: int,
        device: torch.device,
        is_compiled: bool,
        processes: Processes,
    ) -> None:
        """Build a model, the same in every process, and its optimizers."""
        self.model = build_model(experiment, seed, separator_id)
        self._training = experiment.training
        self._seed = seed
        self._device = device
        self._processes = processes
        self._parallel = ParallelModel(
            self.model, processes, device, experiment.training.precision, is_compiled
        )
        self.optimizers = build_optimizers(
            self.model,
            experiment.optimizer,
            _stack_update(processes, is_compiled),
            iteration_format(device, self._training.precision),
        )
        self.can_record = can_record(device, self._training.precision, is_compiled, processes.size)
        self._graphs: dict[StepShape, StepGraph] = {}
        self._score_graphs: dict[StepShape, StepGraph] = {}
        seed_process(seed, processes.rank)
        decay = experiment.optimizer.ema_decay
        self._average = WeightAverage(self.model, decay) if decay else None

    def scorer(self, many_shapes: bool) -> Scorer:
        """Scoring by the model, which every process must ask for at the same time.

        Args:
            many_shapes: as for `ParallelModel.score`.
        """
        own = scorer(
            self.model,
            self._device,
            self._training.precision,
            lambda _, tokens_BT: self._parallel.score(next_token_scores, tokens_BT, many_shapes),
        )

        def recorded_or_own(tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
            score = self._score_graphs.get(StepShape(*tokens_BT.shape), own)
            return score(tokens_BT)

        return self._processes.shared_scorer(own if many_shapes else recorded_or_own)

    def step(
        self, number: int, tokens_BT: Tensor, factor: float, spent: float
    ) -> tuple[Tensor, Tensor]:
        """One step; returns mean loss and gradient norm, still on the device.

        Args:
            number: of the step, counted from 1.
            factor: share of the peak learning rates.
            spent: share of the budget that is spent before the step.
        """
        self.optimizers.set_rates(factor, spent)
        graph = self._graphs.get(StepShape(*tokens_BT.shape))
        tokens_BT = self._processes.own_rows(tokens_BT, self._training.gradient_accumulation_steps)
        if graph is not None:
            loss, norm = graph(tokens_BT)
        else:
            loss, norm = self._update_weights(tokens_BT.to(self._device, non_blocking=True))
        if self._average is not None:
            self._average.update(number)
        return self._processes.mean(loss), norm

    def expert_counts(self) -> Tensor | None:
        """Visits of the last step's tokens, those of all processes, to each expert of each layer.

        Int64 [layers, experts], still on the device; None if all layers are dense. Every process
        must ask.
        """
        counts_LE = self.model.expert_counts()
        return None if counts_LE is None else self._processes.sum(counts_LE)

    def record(self, shapes: Sequence[StepShape], scored: StepShape) -> None:
        """Record a step of each shape and a batch's scoring, to replay them from here on.

        Each must have run before. Nothing may be loaded afterwards, because what is replayed
        would not see it.

        Args:
            scored: rows and length of the batches that are scored while training.
        """
        assert self.can_record
        pool = torch.cuda.graph_pool_handle()
        self.model.train()
        for shape in shapes:
            self._graphs[shape] = StepGraph(self._update_weights, shape, pool)
        score = self.scorer(many_shapes=False)
        self.model.eval()
        self._score_graphs[scored] = StepGraph(score, scored, pool)

    def forget_records(self) -> None:
        """Give back the memory that recorded steps hold; steps are done anew from here on."""
        self._graphs.clear()
        self._score_graphs.clear()
        torch.cuda.empty_cache()

    @property
    def has_records(self) -> bool:
        """Whether steps are replayed."""
        return bool(self._graphs)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A block after which weights, optimizers and random number generators are as before it.

        No step may have been done before.
        """
        random_state = random_states(self._device)
        state = {name: tensor.cpu().clone() for name, tensor in model_state(self.model).items()}
        yield
        load_model_state(self.model, state)
        self.optimizers.clear()
        if self._average is not None:
            self._average.load(state)
        set_random_states(self._device, random_state)

    @contextmanager
    def evaluated_weights(self) -> Iterator[None]:
        """Within the block the model has the weights that are evaluated, such as an average."""
        if self._average is None:
            yield
        else:
            with self._average.in_place():
                yield

    def state(self) -> LearnerState:
        """All that it takes to go on; every process must take part.

        The first process gets the tensors. They are whole, so that any number of processes can
        go on, and where nothing was shared out they are those that training goes on to change.
        """
        keep = self._processes.is_main
        own = full_tensors(model_state(self.model), keep)
        averaged = full_tensors(self._average.weights, keep) if self._average is not None else {}
        muon = optimizer_state(self.model, self.optimizers.muon, keep)
        adamw = optimizer_state(self.model, self.optimizers.adamw, keep)
        random, *others = self._processes.gather(random_states(self._device))
        rest = {
            "trained_weights": {name: own[name] for name in averaged},
            "muon": muon,
            "adamw": adamw,
            "random": random,
            "random_of_others": others,
        }
        return LearnerState(own | averaged, rest)

    def load(self, state: LearnerState, step: int) -> None:
        """Go on from what `state` returned after a step, in any number of processes."""
        weights, rest = state
        load_model_state(self.model, {**weights, **rest["trained_weights"]})
        if self._average is not None:
            self._average.load(weights)
        load_optimizer_state(self.model, self.optimizers.muon, rest["muon"])
        load_optimizer_state(self.model, self.optimizers.adamw, rest["adamw"])
        random = [rest["random"], *rest["random_of_others"]]
        if self._processes.rank < len(random):
            set_random_states(self._device, random[self._processes.rank])
        else:
            seed_process(self._seed + step, self._processes.rank)

    def _update_weights(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, gradients and update, all on the device; returns mean loss and gradient norm."""
        parts = self._training.gradient_accumulation_steps
        self.model.before_step()
        total = torch.zeros((), device=self._device)
        for part, part_BT in enumerate(tokens_BT.chunk(parts), start=1):
            with self._parallel.accumulating(is_last=part == parts):
                with autocast(self._device, self._training.precision):
                    loss, auxiliary = self._parallel.train(Transformer.losses, part_BT)
                ((loss + auxiliary) / parts).backward()
            total += loss.detach() / parts
        norm = self.optimizers.step()
        self.model.after_step()
        return total, norm


def can_record(device: torch.device, precision: str, is_compiled: bool, num_processes: int) -> bool:
    """Whether a step can be recorded: if it launches on the device alone and never waits for it.

    The plain product of experts, which float32 takes, waits for their numbers of rows.
    """
    on_device = is_compiled and device.type == "cuda" and num_processes == 1
    return on_device and precision == "bfloat16"


def iteration_format(device: torch.device, precision: str) -> torch.dtype:
    """Number format of Muon's iterations: bfloat16 only where that is fast, and products are."""
    is_fast = device.type == "cuda" and precision == "bfloat16"
    return torch.bfloat16 if is_fast else torch.float32


def _stack_update(processes: Processes, is_compiled: bool) -> StackUpdate:
    """Muon's update of whole parameters, or of this process's shares of them."""

    def prepared(function: Callable[..., Any]) -> Callable[..., Any]:
        return compiled(function) if is_compiled else function

    return ShareUpdate(prepared) if processes.is_sharded else prepared(update_stack)
