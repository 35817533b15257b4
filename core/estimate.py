"""What a config costs before it runs: parameters, FLOPs, memory, time and dollars.

Parameters and FLOPs are exact by formula. Memory and time are rough: `docs/measurement.md`
says against which measured runs they were set, and how far off they were.
"""

from pydantic import Field

from core.schema.base import Message
from core.schema.experiment import ExperimentConfig, ModelConfig
from core.schema.track import Track

DENSE_BFLOAT16_FLOPS = {
    "RTX 3090": 71e12,
    "RTX 4090": 165e12,
    "A100": 312e12,
    "H100": 989e12,
    "H200": 989e12,
}
"""Vendors' dense bfloat16 matrix rates with float32 accumulation, in FLOP/s."""
MODEL_FLOPS_UTILISATION = 0.2
"""Share of that rate that training reaches."""


class Estimate(Message):
    """What a config would cost."""

    num_parameters: int = Field(ge=1)
    """Trained parameters."""
    num_active_parameters: int = Field(ge=1)
    """Parameters that one token passes through."""
    training_flops_per_token: float = Field(gt=0.0)
    """Forward and backward FLOPs of one training token."""
    training_flops: float = Field(gt=0.0)
    """FLOPs of the whole run's training."""
    memory_bytes: float = Field(gt=0.0)
    """Peak device memory, roughly."""
    train_seconds: dict[str, float]
    """GPU model to training time, roughly; GPUs of the track's price list with a known rate."""
    cost_usd: dict[str, float]
    """GPU model to dollars at the track's price, roughly."""


def estimate(experiment: ExperimentConfig, prices_usd_per_hour: dict[str, float]) -> Estimate:
    """Estimate a config, with time and dollars for each GPU that has a price and a known rate."""
    training = experiment.training
    flops_per_token = training_flops_per_token(experiment.model, training.sequence_length)
    training_flops = flops_per_token * training.num_steps * training.tokens_per_step
    seconds = {
        gpu: training_flops / (DENSE_BFLOAT16_FLOPS[gpu] * MODEL_FLOPS_UTILISATION)
        for gpu in prices_usd_per_hour
        if gpu in DENSE_BFLOAT16_FLOPS
    }
    return Estimate(
        num_parameters=num_parameters(experiment.model),
        num_active_parameters=num_active_parameters(experiment.model),
        training_flops_per_token=flops_per_token,
        training_flops=training_flops,
        memory_bytes=memory_bytes(experiment),
        train_seconds=seconds,
        cost_usd={gpu: time / 3600 * prices_usd_per_hour[gpu] for gpu, time in seconds.items()},
    )


def num_parameters(model: ModelConfig) -> int:
    """Trained parameters, exactly."""
    embeddings = model.vocab_size * model.hidden_size * (1 if model.tie_embeddings else 2)
    norms = 2 * model.hidden_size
    layer = _attention_parameters(model) + _router_parameters(model) + norms
    experts = model.feed_forward.num_experts * _expert_parameters(model)
    return embeddings + model.num_layers * (layer + experts) + model.hidden_size


def num_active_parameters(model: ModelConfig) -> int:
    """Parameters that one token passes through, exactly; all embeddings counted."""
    feed_forward = model.feed_forward
    idle = feed_forward.num_experts - feed_forward.experts_per_token
    return num_parameters(model) - model.num_layers * idle * _expert_parameters(model)


def training_flops_per_token(model: ModelConfig, sequence_length: int) -> float:
    """Forward and backward FLOPs of one token: 3 × 2 × multiplied weights, and attention.

    Attention counts the causal half: a token meets sequence_length / 2 keys on average.
    """
    attention = model.attention
    matrices = (
        _attention_matrices(model)
        + _router_parameters(model)
        + model.feed_forward.experts_per_token * _expert_parameters(model)
    )
    if attention.kind == "latent":
        latent = attention.latent
        head_channels = latent.plain_head_dim + latent.rotary_head_dim + latent.value_head_dim
        scored_channels = attention.num_heads * head_channels
    else:
        scored_channels = 2 * model.hidden_size
    scores = scored_channels * sequence_length / 2
    head = model.vocab_size * model.hidden_size
    return 6.0 * (model.num_layers * (matrices + scores) + head)


def memory_bytes(experiment: ExperimentConfig) -> float:
    """Peak device memory, roughly: the larger of two moments of a step.

    At the loss: weights, optimizer state, copies of the weights in the number format of the
    matrix products, the activations of one micro-batch, its logits and their gradient. At the
    update: weights, optimizer state, gradients and Muon's working copies.
    """
    model, training = experiment.model, experiment.training
    width = 2 if training.precision == "bfloat16" else 4
    embeddings = model.vocab_size * model.hidden_size * (1 if model.tie_embeddings else 2)
    hidden = num_parameters(model) - embeddings
    state = 12 * embeddings + 8 * hidden
    gradients = 4 * (embeddings + hidden)
    micro_tokens = training.tokens_per_step / training.gradient_accumulation_steps
    activations = micro_tokens * model.num_layers * _activation_channels(model) * width
    logits = 2 * micro_tokens * model.vocab_size * width
    kept = gradients if training.gradient_accumulation_steps > 1 else 0
    at_loss = state + width * (embeddings + hidden) + kept + activations + logits
    at_update = state + gradients + 12 * hidden
    return float(max(at_loss, at_update))


def budget_violations(track: Track, experiment: ExperimentConfig) -> list[str]:
    """Why an experiment does not fit a track's budget; empty if it does."""
    budget, prices = track.rules.budget, track.rules.prices_usd_per_hour
    own, base = estimate(experiment, prices), estimate(track.base, prices)
    violations = []
    if budget.steps is not None and experiment.training.num_steps > budget.steps:
        violations.append(
            f"training takes {experiment.training.num_steps:,} steps; "
            f"the track allows {budget.steps:,}."
        )
    if budget.training_flops_ratio is not None:
        ratio = own.training_flops / base.training_flops
        if ratio > budget.training_flops_ratio:
            violations.append(
                f"training takes {own.training_flops:.3g} FLOPs, {ratio:.2f} × the baseline's "
                f"{base.training_flops:.3g}; the track allows {budget.training_flops_ratio} ×."
            )
    if budget.memory_gib is not None and own.memory_bytes > budget.memory_gib * 1024**3:
        violations.append(
            f"training needs about {own.memory_bytes / 1024**3:.1f} GiB of device memory; "
            f"the track allows {budget.memory_gib:g} GiB. Accumulate gradients over more parts, "
            "or make the model or the batch smaller."
        )
    if budget.cost_usd is not None and own.cost_usd:
        gpu, cost = min(own.cost_usd.items(), key=lambda item: item[1])
        if cost > budget.cost_usd:
            violations.append(
                f"training costs about ${cost:.2f} on the cheapest listed GPU ({gpu}); "
                f"the track allows ${budget.cost_usd:.2f}."
            )
    return violations


def _activation_channels(model: ModelConfig) -> float:
    """Channels that a layer keeps of each token for the backward pass; dropout keeps its mask."""
    feed_forward = model.feed_forward
    experts = feed_forward.experts_per_token * (2 * feed_forward.hidden_size + model.hidden_size)
    masks = feed_forward.experts_per_token * feed_forward.hidden_size / 2 + model.hidden_size
    return experts + 4 * model.hidden_size + (masks if model.dropout else 0)


def _attention_matrices(model: ModelConfig) -> int:
    attention = model.attention
    if attention.kind == "multi_head":
        return 4 * model.hidden_size**2
    latent, heads = attention.latent, attention.num_heads
    query = model.hidden_size * heads * (latent.plain_head_dim + latent.rotary_head_dim)
    compress = model.hidden_size * (latent.kv_rank + latent.rotary_head_dim)
    expand = latent.kv_rank * heads * (latent.plain_head_dim + latent.value_head_dim)
    output = heads * latent.value_head_dim * model.hidden_size
    return query + compress + expand + output


def _attention_parameters(model: ModelConfig) -> int:
    attention = model.attention
    if attention.kind == "latent":
        latent = attention.latent
        head_dim, compressed_norm = latent.plain_head_dim + latent.rotary_head_dim, latent.kv_rank
    else:
        head_dim, compressed_norm = model.hidden_size // attention.num_heads, 0
    norms = compressed_norm + (2 * head_dim if attention.qk_norm else 0)
    return _attention_matrices(model) + norms


def _router_parameters(model: ModelConfig) -> int:
    return model.hidden_size * model.feed_forward.num_experts


def _expert_parameters(model: ModelConfig) -> int:
    return 2 * model.hidden_size * model.feed_forward.hidden_size
