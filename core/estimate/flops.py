"""Floating-point operations of training, by formula: matrix products alone.

A multiplication and an addition count as two, and the backward pass as twice the forward pass.
"""

import math

from core.estimate.matrices import (
    attention_matrices,
    block_layers,
    feed_forward_matrices,
    gate_matrices,
    heads,
    hidden_matrices,
)
from core.kernels.sizes import merged_iterations
from core.schema.model_config import ModelConfig
from core.schema.optimizer_config import MuonConfig


def training_flops_per_token(model: ModelConfig, sequence_length: int) -> float:
    """Forward and backward FLOPs of one token in a sequence of that length."""
    return 3 * (matrix_flops_per_token(model) + score_flops_per_token(model, sequence_length))


def matrix_flops_per_token(model: ModelConfig) -> float:
    """Forward FLOPs of the products of one token with weights.

    A token that chooses zero-compute experts is spared them: `computing_visits` says how many
    experts compute on average. The output matrix counts once for each prediction.
    """
    weights = sum(
        matrix.num_used_weights
        for layer in block_layers(model)
        for matrix in (
            *attention_matrices(model),
            *feed_forward_matrices(model, layer),
            *gate_matrices(model, layer),
        )
    )
    head = (1 + model.extra_predictions) * model.vocab_size * model.hidden_size
    return 2.0 * (weights + head)


def score_flops_per_token(model: ModelConfig, sequence_length: int) -> float:
    """Forward FLOPs of one token's products with keys and values, for the keys that it sees.

    Documents are not known beforehand: a sequence counts as one.
    """
    sizes = heads(model)
    channels = sizes.num_heads * (sizes.key_dim + sizes.value_dim)
    keys = sum(
        mean_visible_keys(sequence_length, model.attention.window(layer))
        for layer in block_layers(model)
    )
    return 2.0 * channels * keys


def mean_visible_keys(sequence_length: int, window: int) -> float:
    """Keys that a position sees, itself included, on average over a sequence.

    Args:
        window: most keys that it may see; 0 for all up to itself.
    """
    width = min(window or sequence_length, sequence_length)
    # Position t sees t + 1 keys up to the window, and from there on the window's width.
    return (width * (width + 1) / 2 + (sequence_length - width) * width) / sequence_length


def orthogonalisation_flops(model: ModelConfig, muon: MuonConfig) -> float:
    """FLOPs of Muon's Newton–Schulz iterations in one optimizer step.

    An iteration of a matrix of s × l, s the shorter side, is products of s × l × s, s × s × s
    and s × s × l; one that is merged into the iteration before is four products of s × s × s.
    They cost time, and no track counts them as training FLOPs.
    """
    flops = 0.0
    for matrix in hidden_matrices(model):
        short, long = sorted((matrix.num_outputs, matrix.num_inputs))
        starts = math.ceil(
            muon.newton_schulz_steps / merged_iterations(short, long, muon.coefficients)
        )
        merged = muon.newton_schulz_steps - starts
        products = starts * (4.0 * short**2 * long + 2.0 * short**3) + merged * 8.0 * short**3
        flops += matrix.num_stored * products
    return flops
