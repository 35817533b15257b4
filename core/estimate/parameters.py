"""How many parameters a model has, exactly."""

from core.estimate.matrices import block_layers, gate_matrices, heads, hidden_matrices
from core.schema.model_config import ModelConfig


def num_parameters(model: ModelConfig) -> int:
    """Trained parameters."""
    return num_hidden_weights(model) + num_other_weights(model)


def num_active_parameters(model: ModelConfig) -> int:
    """Parameters that a token passes through while training, on average, rounded.

    Experts that a token does not visit are left out, as are visits that compute nothing; all
    embeddings count whole.
    """
    idle = sum(
        matrix.num_stored_weights - matrix.num_used_weights for matrix in hidden_matrices(model)
    )
    return round(num_parameters(model) - idle)


def num_hidden_weights(model: ModelConfig) -> int:
    """Weights that Muon updates."""
    return sum(matrix.num_stored_weights for matrix in hidden_matrices(model))


def num_other_weights(model: ModelConfig) -> int:
    """Weights that AdamW updates: tables, output matrix, routers, norms and scalars."""
    blocks = sum(
        _block_vectors(model, layer)
        + value_table_weights(model, layer)
        + sum(matrix.num_stored_weights for matrix in gate_matrices(model, layer))
        for layer in block_layers(model)
    )
    table = model.vocab_size * model.hidden_size
    tables = table if model.tie_embeddings else 2 * table
    return blocks + tables + _stream_scalars(model) + model.hidden_size


def value_table_weights(model: ModelConfig, layer: int) -> int:
    """Weights of a layer's value embeddings."""
    if not model.attention.has_value_embedding(layer):
        return 0
    sizes = heads(model)
    return model.vocab_size * sizes.num_kv_heads * sizes.value_dim


def _block_vectors(model: ModelConfig, layer: int) -> int:
    """Norms and scalars of a block."""
    attention = model.attention
    norms = (4 if model.norm_placement == "sandwich" else 2) * model.hidden_size
    compressed = attention.latent.kv_rank if attention.kind == "latent" else 0
    queries_and_keys = 2 * heads(model).key_dim if attention.qk_norm else 0
    return norms + compressed + queries_and_keys + attention.has_value_embedding(layer)


def _stream_scalars(model: ModelConfig) -> int:
    """Learned scalars and vectors outside the blocks, but for the last norm."""
    mixing = 2 * model.num_layers if model.embedding_mix else 0
    skips = model.num_layers // 2 if model.skip_connections else 0
    smearing = model.hidden_size + 1 if model.token_smearing else 0
    return mixing + skips + smearing
