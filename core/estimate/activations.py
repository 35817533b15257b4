"""What the forward pass keeps for the backward pass, in bytes for each token.

Counted tensor by tensor from what the compiler keeps. It computes again what is cheap: norms,
non-linearities without dropout, gates, sums with the stream.
"""

from core.estimate.matrices import activation_inputs, block_layers, gate_channels, heads
from core.schema.model_config import ModelConfig

FLOAT32 = 4
"""Bytes of a number of statistics, of routers and of embeddings."""
MASK = 1
"""Bytes of an element of a dropout or choice mask."""


def kept_bytes_per_token(model: ModelConfig, width: int) -> float:
    """Of the whole model, but for logits and losses.

    Args:
        width: bytes of a number of the residual stream, and of what enters or leaves a product.
    """
    channels = model.hidden_size
    blocks = sum(
        _stream_bytes(model, layer, width)
        + _attention_bytes(model, layer, width)
        + _feed_forward_bytes(model, layer, width)
        for layer in block_layers(model)
    )
    # What enters the last norm and the output matrix, and the two dropouts outside the blocks.
    end = (1 + model.extra_predictions) * channels * 2 * width
    smearing = FLOAT32 * channels if model.token_smearing else 0
    masks = (2 + model.extra_predictions) * MASK * channels if model.dropout else 0
    return blocks + end + smearing + masks


def working_bytes_per_token(model: ModelConfig, width: int) -> float:
    """What the backward pass of the widest block holds besides: gradients of its activations."""
    feed_forward, channels = model.feed_forward, model.hidden_size
    widest = 0
    for layer in block_layers(model):
        dense = feed_forward.kind(layer) == "dense"
        visits = 1 if dense else feed_forward.experts_per_token
        hidden = feed_forward.dense_hidden_size if dense else feed_forward.hidden_size
        rows = (1 + activation_inputs(feed_forward)) * hidden + channels
        widest = max(widest, visits * rows * width)
    return widest + 2 * FLOAT32 * channels


def _stream_bytes(model: ModelConfig, layer: int, width: int) -> float:
    """What enters the two norms, and what mixing, norms and dropout of the sums need."""
    channels = model.hidden_size
    kept = 2 * width * channels + 2 * FLOAT32
    if model.embedding_mix:
        kept += width * channels
    if model.norm_placement == "sandwich":
        # The sum over experts is computed again from what they returned.
        kept += (2 if model.feed_forward.kind(layer) == "dense" else 1) * width * channels
    return kept + (2 * MASK * channels if model.dropout else 0)


def _attention_bytes(model: ModelConfig, layer: int, width: int) -> float:
    """Input, queries and keys as multiplied, attended values, and the buffer of the values.

    Where values are part of a larger product, its whole result is kept with them.
    """
    attention, sizes = model.attention, heads(model)
    query_channels = sizes.num_heads * sizes.key_dim
    key_channels = sizes.num_kv_heads * sizes.key_dim
    value_channels = sizes.num_kv_heads * sizes.value_dim
    plain = query_channels + key_channels if attention.qk_norm else 0
    if attention.kind == "latent":
        latent = attention.latent
        compressed = 2 * latent.kv_rank + latent.rotary_head_dim
        expanded = sizes.num_heads * (latent.plain_head_dim + latent.value_head_dim)
        projected = plain + compressed + expanded
    elif attention.projections == "merged":
        projected = query_channels + key_channels + value_channels
    else:
        projected = plain + value_channels
    multiplied = model.hidden_size + query_channels + key_channels + sizes.attended_channels
    kept = width * (multiplied + projected) + FLOAT32 * sizes.num_heads
    if attention.output_gate != "none":
        kept += width * (gate_channels(model) + sizes.attended_channels)
    if attention.has_value_embedding(layer):
        kept += FLOAT32 * value_channels
    return kept


def _feed_forward_bytes(model: ModelConfig, layer: int, width: int) -> float:
    feed_forward, channels = model.feed_forward, model.hidden_size
    if feed_forward.kind(layer) == "dense":
        hidden = feed_forward.dense_hidden_size
        return width * channels + _hidden_bytes(model, hidden, width)
    visits, choices = feed_forward.experts_per_token, feed_forward.num_choices
    kept = width * channels + visits * (
        2 * width * channels + _hidden_bytes(model, feed_forward.hidden_size, width)
    )
    kept += choices * (FLOAT32 + visits * MASK)
    if feed_forward.shared_experts:
        hidden = feed_forward.shared_experts * feed_forward.hidden_size
        kept += width * channels + _hidden_bytes(model, hidden, width)
    return kept


def _hidden_bytes(model: ModelConfig, hidden_size: int, width: int) -> float:
    """Before and after the non-linearity, and the mask of the dropout behind it.

    The fused operation for bfloat16 draws its mask again, and knows no gated non-linearity.
    """
    inputs = activation_inputs(model.feed_forward)
    keeps_mask = model.dropout > 0 and (width == 4 or inputs == 2)
    return width * (inputs + 1) * hidden_size + (MASK * hidden_size if keeps_mask else 0)
