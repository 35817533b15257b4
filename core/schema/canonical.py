"""The canonical form of an experiment, and its hash: equal for configs that train alike.

A config has many spellings. The canonical form has one: what a switched-off part would use is at
its default, a pattern has its shortest form, and settings at their default are left out.

Dropped is only what no run can notice, to the last bit, on any device. Kept apart are configs
that happen to agree, such as budgets that pay for as many steps, or that differ in rounding, such
as another number of gradient accumulation steps.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from core.schema.base import Config
from core.schema.experiment import ExperimentConfig
from core.schema.model_config import AttentionConfig, FeedForwardConfig, ModelConfig
from core.schema.optimizer_config import AdamWConfig, MuonConfig, OptimizerConfig
from core.schema.training_config import (
    BatchSizeStage,
    ScheduleConfig,
    SequenceLengthStage,
    TrainingConfig,
)

Group = TypeVar("Group", bound=Config)
Entry = TypeVar("Entry")

EXPERT_SETTINGS = (
    "hidden_size",
    "num_experts",
    "experts_per_token",
    "shared_experts",
    "zero_compute_experts",
    "zero_compute_kind",
    "router_scores",
    "router_noise",
    "balancing",
    "load_balancing_weight",
    "bias_update_rate",
    "router_z_loss_weight",
)
"""Settings of a feed-forward layer that is made of experts."""


def experiment_hash(track: str, version: int, experiment: ExperimentConfig) -> str:
    """Identity of an experiment on a track version: 64 hexadecimal digits of SHA-256."""
    identity = f"{track}@{version}:{canonical_json(canonical(experiment))}"
    return hashlib.sha256(identity.encode()).hexdigest()


def canonical_json(config: BaseModel) -> str:
    """A config as text: settings at their default left out, keys sorted."""
    return json.dumps(
        config.model_dump(mode="json", exclude_defaults=True),
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )


def canonical(experiment: ExperimentConfig) -> ExperimentConfig:
    """The plainest config that trains and scores as this one does."""
    longest = max(experiment.training.row_length, experiment.evaluation.sequence_length)
    model = _model(experiment.model, longest)
    return experiment.model_copy(
        update={
            "model": model,
            "optimizer": _optimizer(experiment.optimizer, model),
            "schedule": _schedule(experiment.schedule),
            "training": _training(experiment.training),
        }
    )


def _model(model: ModelConfig, longest: int) -> ModelConfig:
    """A model that never meets a sequence of more than `longest` tokens."""
    if not model.extra_predictions:
        model = _at_default(model, "extra_prediction_weight")
    return model.model_copy(
        update={
            "attention": _attention(model, longest),
            "feed_forward": _feed_forward(model.feed_forward, model.num_layers),
        }
    )


def _attention(model: ModelConfig, longest: int) -> AttentionConfig:
    attention, num_layers = model.attention, model.num_layers
    rotary_dim = attention.latent.rotary_head_dim
    if attention.kind == "multi_head":
        rotary_dim = model.rotary_dim
        attention = _at_default(attention, "latent").model_copy(
            update={"rotary_fraction": _rotary_fraction(model.head_dim, rotary_dim)}
        )
    if rotary_dim == 2:
        # The base is taken to the power of 0.
        attention = _at_default(attention, "rotary_base")
    windows = [0 if window >= longest else window for window in attention.window_pattern]
    return attention.model_copy(
        update={
            "window_pattern": _shortest(windows, num_layers),
            "value_embedding_pattern": _shortest(attention.value_embedding_pattern, num_layers),
        }
    )


def _rotary_fraction(head_dim: int, rotary_dim: int) -> float:
    """The one share, among all that turn so many channels, that stands for them."""
    share = rotary_dim / head_dim
    # The product may come out just below the whole number; then two channels would be lost.
    is_reached = int(head_dim * share) == rotary_dim
    return share if is_reached else (rotary_dim + 1) / head_dim


def _feed_forward(feed_forward: FeedForwardConfig, num_layers: int) -> FeedForwardConfig:
    pattern = _shortest(feed_forward.layer_pattern, num_layers)
    feed_forward = feed_forward.model_copy(update={"layer_pattern": pattern})
    if "dense" not in pattern:
        feed_forward = _at_default(feed_forward, "dense_hidden_size")
    if "experts" not in pattern:
        feed_forward = _at_default(feed_forward, *EXPERT_SETTINGS)
    if not feed_forward.zero_compute_experts:
        feed_forward = _at_default(feed_forward, "zero_compute_kind")
    by_loss = feed_forward.balancing == "loss"
    return _at_default(feed_forward, "bias_update_rate" if by_loss else "load_balancing_weight")


def _optimizer(optimizer: OptimizerConfig, model: ModelConfig) -> OptimizerConfig:
    update = {"muon": _muon(optimizer.muon), "adamw": _adamw(optimizer.adamw, model)}
    return optimizer.model_copy(update=update)


def _muon(muon: MuonConfig) -> MuonConfig:
    if muon.momentum_start == muon.momentum:
        muon = _at_default(muon, "momentum_warmup_fraction")
    if not muon.momentum_warmup_fraction:
        muon = _at_default(muon, "momentum_start")
        if not muon.momentum:
            muon = _at_default(muon, "nesterov")
    if not muon.neuron_norm:
        muon = _at_default(muon, "neuron_norm_beta")
    return muon if muon.weight_decay else _at_default(muon, "cautious_weight_decay")


def _adamw(adamw: AdamWConfig, model: ModelConfig) -> AdamWConfig:
    has_routers = "experts" in model.feed_forward.layer_pattern
    return adamw if has_routers else _at_default(adamw, "router_rate_ratio")


def _schedule(schedule: ScheduleConfig) -> ScheduleConfig:
    if schedule.final_fraction == 1.0:
        schedule = schedule.model_copy(update={"kind": "constant"})
    if schedule.kind == "constant":
        schedule = _at_default(schedule, "final_fraction")
    is_staged = schedule.kind == "warmup_stable_decay"
    return schedule if is_staged else _at_default(schedule, "decay_fraction")


def _training(training: TrainingConfig) -> TrainingConfig:
    """Stages that change nothing are left out."""
    batch_size, batch_stages = training.batch_size, list[BatchSizeStage]()
    for batch_stage in training.batch_size_stages:
        if batch_stage.batch_size != batch_size:
            batch_stages.append(batch_stage)
        batch_size = batch_stage.batch_size
    length, length_stages = training.sequence_length, list[SequenceLengthStage]()
    for length_stage in training.sequence_length_stages:
        if length_stage.sequence_length != length:
            length_stages.append(length_stage)
        length = length_stage.sequence_length
    return training.model_copy(
        update={
            "batch_size_stages": tuple(batch_stages),
            "sequence_length_stages": tuple(length_stages),
        }
    )


def _at_default(group: Group, *names: str) -> Group:
    """The group with some of its settings at their defaults."""
    fields = type(group).model_fields
    return group.model_copy(update={name: fields[name].default for name in names})


def _shortest(pattern: Sequence[Entry], num_layers: int) -> tuple[Entry, ...]:
    """The shortest pattern that gives every layer what this one gives it."""
    entries = tuple(pattern[layer % len(pattern)] for layer in range(num_layers))
    length = next(
        length
        for length in range(1, num_layers + 1)
        if all(entry == entries[layer % length] for layer, entry in enumerate(entries))
    )
    return entries[:length]
