"""Which optimizer updates which parameter."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.model.transformer import Transformer
from core.optim.muon import Muon, orthogonalize
from core.schema.experiment import OptimizerConfig


@dataclass(frozen=True)
class Optimizers:
    """The two optimizers of a model."""

    muon: Muon
    adamw: torch.optim.AdamW

    def step(self, config: OptimizerConfig, factor: float) -> None:
        """Update every parameter at `factor` times the peak learning rates."""
        for optimizer, peak in (
            (self.muon, config.muon.learning_rate),
            (self.adamw, config.adamw.learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def build_optimizers(
    model: Transformer,
    config: OptimizerConfig,
    orthogonalize: Callable[[Tensor, int], Tensor] = orthogonalize,
) -> Optimizers:
    """Muon for hidden matrices and expert stacks; AdamW for embeddings, head, norms, routers."""
    hidden, rest = split_parameters(model)
    adamw = config.adamw
    return Optimizers(
        muon=Muon(
            hidden,
            lr=config.muon.learning_rate,
            momentum=config.muon.momentum,
            nesterov=config.muon.nesterov,
            newton_schulz_steps=config.muon.newton_schulz_steps,
            weight_decay=config.muon.weight_decay,
            orthogonalize=orthogonalize,
        ),
        adamw=torch.optim.AdamW(
            rest,
            lr=adamw.learning_rate,
            betas=(adamw.beta1, adamw.beta2),
            eps=adamw.epsilon,
            weight_decay=adamw.weight_decay,
            fused=True,
        ),
    )


def split_parameters(model: Transformer) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(hidden matrices and stacks of them, everything else), in the model's order."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_hidden = name.startswith("blocks.") and parameter.ndim > 1 and ".router." not in name
        (hidden if is_hidden else rest).append(parameter)
    return hidden, rest
