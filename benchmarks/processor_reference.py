"""A plain way to train the `debug` track, to hold the project's own way on a processor against.

It is what a first implementation does: a loop over experts, each of which picks its tokens by a
mask; Muon one matrix after another; AdamW one tensor after another; PyTorch's own products.
Shape suffixes: B batch, T time, C hidden channels, N tokens, K choices of a token, M rows,
N columns of a matrix.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels.selection import reference_path
from core.model.moe import MixtureOfExperts
from core.model.transformer import Transformer
from core.optim.muon import Rates, Stack, UpdateRule
from core.optim.orthogonalize import NORM_EPSILON, QUINTIC
from core.optim.param_groups import Optimizers, build_optimizers
from core.schema.optimizer_config import OptimizerConfig


@contextmanager
def processor_reference() -> Iterator[None]:
    """Within the block, models and optimizers work the plain way."""
    with (
        reference_path(),
        patch.object(MixtureOfExperts, "forward", masked_experts),
        patch("core.train.learner.build_optimizers", _plain_optimizers),
    ):
        yield


def masked_experts(layer: MixtureOfExperts, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
    """What a mixture of SiLU experts gives, expert by expert; [B, T, C] and auxiliary loss."""
    x_NC = x_BTC.flatten(0, 1)
    routing = layer.router(x_NC)
    output_NC = torch.zeros_like(x_NC)
    for expert in range(layer.config.num_experts):
        chosen_NK = routing.experts_NK == expert
        picked_N = chosen_NK.any(dim=1)
        hidden = F.silu(x_NC[picked_N] @ layer.up_EFC[expert].T)
        hidden = F.dropout(hidden, layer.dropout, layer.training) @ layer.down_ECF[expert].T
        weight_N = (routing.weights_NK * chosen_NK).sum(dim=1)
        output_NC[picked_N] += weight_N[picked_N, None] * hidden
    return output_NC.view_as(x_BTC), routing.auxiliary_loss


def update_matrix_by_matrix(stack: Stack, rates: Rates, rule: UpdateRule) -> None:
    """Muon as its author published it, in place, with the baseline's rule."""
    for weight, gradient, momentum in zip(
        stack.weights, stack.gradients, stack.momenta, strict=True
    ):
        columns, rows = weight.shape[-1], weight.shape[-2]
        for w_MN, g_MN, m_MN in zip(
            weight.view(-1, rows, columns),
            gradient.view(-1, rows, columns),
            momentum.view(-1, rows, columns),
            strict=True,
        ):
            scaled_MN = g_MN * rates.gradient_scale
            m_MN.lerp_(scaled_MN, 1 - rates.momentum)
            direction_MN = newton_schulz(
                scaled_MN.lerp(m_MN, rates.momentum), rule.newton_schulz_steps
            )
            w_MN.sub_(rates.learning_rate * max(1.0, rows / columns) ** 0.5 * direction_MN)


def newton_schulz(x_MN: Tensor, steps: int) -> Tensor:
    """Push the singular values of a matrix towards 1."""
    a, b, c = QUINTIC
    tall = x_MN.shape[0] > x_MN.shape[1]
    x_MN = x_MN.T if tall else x_MN
    x_MN = x_MN / (x_MN.norm() + NORM_EPSILON)
    for _ in range(steps):
        gram_MM = x_MN @ x_MN.T
        x_MN = a * x_MN + (b * gram_MM + c * gram_MM @ gram_MM) @ x_MN
    return x_MN.T if tall else x_MN


def _plain_optimizers(model: Transformer, config: OptimizerConfig, *_: object) -> Optimizers:
    adamw = config.adamw.model_copy(update={"fused": False})
    plain = config.model_copy(update={"adamw": adamw})
    return build_optimizers(model, plain, update_matrix_by_matrix)
