"""The matrices of a model: their sizes, and how many of each a token is multiplied by.

Parameters, FLOPs, optimizer work and memory are all counted from them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from core.schema.model_config import FeedForwardConfig, ModelConfig


class Matrix(NamedTuple):
    """A matrix, or a stack of equal ones."""

    num_outputs: int
    """Rows."""
    num_inputs: int
    """Columns."""
    num_stored: int = 1
    """Matrices in the stack."""
    num_used: float = 1.0
    """How many of the stack a token is multiplied by, on average."""

    @property
    def num_stored_weights(self) -> int:
        """Weights of the whole stack."""
        return self.num_stored * self.num_outputs * self.num_inputs

    @property
    def num_used_weights(self) -> float:
        """Weights that a token is multiplied by, on average."""
        return self.num_used * self.num_outputs * self.num_inputs


class Heads(NamedTuple):
    """Sizes of an attention layer's heads."""

    num_heads: int
    """Query heads."""
    num_kv_heads: int
    """Heads of keys, and of values."""
    key_dim: int
    """Channels of a query or key head."""
    value_dim: int
    """Channels of a value head."""

    @property
    def attended_channels(self) -> int:
        """Channels of the attended values of all heads."""
        return self.num_heads * self.value_dim


def heads(model: ModelConfig) -> Heads:
    """Sizes of the heads, the same in all layers."""
    attention, latent = model.attention, model.attention.latent
    if attention.kind == "latent":
        key_dim = latent.plain_head_dim + latent.rotary_head_dim
        return Heads(attention.num_heads, attention.num_heads, key_dim, latent.value_head_dim)
    num_kv_heads = attention.num_heads // attention.query_heads_per_kv_head
    return Heads(attention.num_heads, num_kv_heads, model.head_dim, model.head_dim)


def block_layers(model: ModelConfig) -> tuple[int, ...]:
    """The layer that each block is like: the trunk's, then one for each further prediction."""
    last = model.num_layers - 1
    return (*range(model.num_layers), *(last for _ in range(model.extra_predictions)))


def hidden_matrices(model: ModelConfig) -> Iterator[Matrix]:
    """What Muon updates: all matrices of blocks, but for routers, gates of heads and tables."""
    for layer in block_layers(model):
        yield from attention_matrices(model)
        yield from feed_forward_matrices(model, layer)


def gate_matrices(model: ModelConfig, layer: int) -> Iterator[Matrix]:
    """Matrices of one block that AdamW updates: the router's and the gate's of heads."""
    if model.feed_forward.kind(layer) == "experts":
        yield Matrix(model.feed_forward.num_choices, model.hidden_size)
    if model.attention.output_gate == "head":
        yield Matrix(gate_channels(model), model.hidden_size)


def attention_matrices(model: ModelConfig) -> Iterator[Matrix]:
    """Matrices of one attention layer, but for a gate of heads."""
    attention, sizes, width = model.attention, heads(model), model.hidden_size
    if attention.kind == "latent":
        yield from _latent_projections(model)
    else:
        query_rows = sizes.num_heads * sizes.key_dim
        kv_rows = sizes.num_kv_heads * sizes.key_dim
        if attention.projections == "merged":
            yield Matrix(query_rows + 2 * kv_rows, width)
        else:
            yield Matrix(query_rows, width)
            yield Matrix(kv_rows, width)
            yield Matrix(kv_rows, width)
    yield Matrix(width, sizes.attended_channels)
    if attention.output_gate == "channel":
        yield Matrix(gate_channels(model), width)


def gate_channels(model: ModelConfig) -> int:
    """Gates of one attention layer."""
    sizes, gate = heads(model), model.attention.output_gate
    return {"none": 0, "head": sizes.num_heads, "channel": sizes.attended_channels}[gate]


def feed_forward_matrices(model: ModelConfig, layer: int) -> Iterator[Matrix]:
    """Matrices of one feed-forward layer, but for the router's."""
    feed_forward = model.feed_forward
    if feed_forward.kind(layer) == "dense":
        yield from _network(model, feed_forward.dense_hidden_size)
        return
    for matrix in _network(model, feed_forward.hidden_size):
        used = computing_visits(feed_forward)
        yield matrix._replace(num_stored=feed_forward.num_experts, num_used=used)
    if feed_forward.shared_experts:
        yield from _network(model, feed_forward.shared_experts * feed_forward.hidden_size)


def activation_inputs(feed_forward: FeedForwardConfig) -> int:
    """Channels that the non-linearity takes for each that it gives; a gated one takes two."""
    return 2 if feed_forward.activation == "swiglu" else 1


def computing_visits(feed_forward: FeedForwardConfig) -> float:
    """Experts that compute for a token, on average, if all choices are equally likely.

    Balancing makes them nearly so; a token's choices are distinct.
    """
    share = feed_forward.num_experts / feed_forward.num_choices
    return feed_forward.experts_per_token * share


def _network(model: ModelConfig, hidden_size: int) -> Iterator[Matrix]:
    yield Matrix(activation_inputs(model.feed_forward) * hidden_size, model.hidden_size)
    yield Matrix(model.hidden_size, hidden_size)


def _latent_projections(model: ModelConfig) -> Iterator[Matrix]:
    latent, sizes, width = model.attention.latent, heads(model), model.hidden_size
    yield Matrix(sizes.num_heads * sizes.key_dim, width)
    yield Matrix(latent.kv_rank + latent.rotary_head_dim, width)
    expanded = latent.plain_head_dim + latent.value_head_dim
    yield Matrix(sizes.num_heads * expanded, latent.kv_rank)
