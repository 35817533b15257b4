"""Which optimizer updates which parameter, and at what rate."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.model.transformer import Transformer
from core.optim.clipping import clip_coefficient, gradient_norm
from core.optim.muon import Muon, StackUpdate, update_stack
from core.optim.schedule import muon_momentum
from core.schema.optimizer_config import AdamWConfig, OptimizerConfig
from core.tensor_shares import local_share

Kind = Literal["hidden", "embedding", "head", "router", "scalar", "plain"]

_SCALARS = ("connections.", "smearing.")
"""Modules of learned scalars; weight decay would turn off what they do."""


@dataclass(frozen=True)
class Optimizers:
    """The two optimizers of a model."""

    config: OptimizerConfig
    parameters: tuple[nn.Parameter, ...]
    """All that are trained, in the model's order."""
    muon: Muon
    adamw: torch.optim.AdamW

    adamw_rates: tuple[Tensor, ...]
    """Learning rate of each of AdamW's groups, on the device."""

    def set_rates(self, factor: float, spent: float) -> None:
        """Set what changes from step to step, in tensors on the device, which never waits.

        Args:
            factor: share of the peak learning rates.
            spent: share of the budget that is spent before the step.
        """
        self.muon.rates.learning_rate.fill_(self.config.muon.learning_rate * factor)
        self.muon.rates.momentum.fill_(muon_momentum(self.config.muon, spent))
        for group, rate in zip(self.adamw.param_groups, self.adamw_rates, strict=True):
            value = self.config.adamw.learning_rate * group["rate_ratio"] * factor
            rate.fill_(value)
            # A processor's kernel takes a number, a GPU's reads the tensor when it runs.
            group["lr"] = rate if rate.is_cuda else value

    def step(self) -> Tensor:
        """Clip the gradients, update every parameter and clear the gradients.

        Returns:
            Float32 norm of the gradient before clipping, on the device.
        """
        norm = gradient_norm(self.parameters)
        coefficient = clip_coefficient(norm, self.config.gradient_clip_norm)
        self.muon.rates.gradient_scale.copy_(coefficient)
        self.muon.step()
        self.muon.zero_grad(set_to_none=True)
        self._step_adamw(coefficient)
        return norm

    def clear(self) -> None:
        """Forget all steps, in place: a recorded step goes on with the same tensors."""
        for optimizer in (self.muon, self.adamw):
            for state in optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()

    def _step_adamw(self, coefficient: Tensor) -> None:
        gradients = [
            local_share(parameter.grad)
            for group in self.adamw.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        torch._foreach_mul_(gradients, coefficient)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)


def build_optimizers(
    model: Transformer,
    config: OptimizerConfig,
    update: StackUpdate = update_stack,
    iteration_format: torch.dtype = torch.float32,
) -> Optimizers:
    """Muon for hidden matrices and expert stacks; AdamW for everything else.

    Args:
        update: Muon's `update_stack`, or a compiled form of it.
        iteration_format: number format in which Muon orthogonalises.
    """
    hidden, rest = split_parameters(model)
    groups = _adamw_groups(rest, config.adamw)
    device = hidden[0].device
    return Optimizers(
        config=config,
        parameters=tuple(model.parameters()),
        muon=Muon(hidden, config.muon, update, iteration_format),
        adamw=torch.optim.AdamW(
            groups,
            lr=config.adamw.learning_rate,
            betas=(config.adamw.beta1, config.adamw.beta2),
            eps=config.adamw.epsilon,
            fused=config.adamw.fused,
            capturable=device.type == "cuda",
        ),
        adamw_rates=tuple(torch.zeros((), device=device) for _ in groups),
    )


def split_parameters(
    model: Transformer,
) -> tuple[list[nn.Parameter], list[tuple[nn.Parameter, Kind]]]:
    """(hidden matrices and stacks of them, everything else with its kind), in model order."""
    hidden: list[nn.Parameter] = []
    rest: list[tuple[nn.Parameter, Kind]] = []
    for name, parameter in model.named_parameters():
        kind = parameter_kind(name, parameter.ndim, model.config.attention.output_gate)
        if kind == "hidden":
            hidden.append(parameter)
        else:
            rest.append((parameter, kind))
    return hidden, rest


def parameter_kind(name: str, ndim: int, output_gate: str) -> Kind:
    """What a parameter is, by its name in the model.

    Args:
        output_gate: as in the attention's config; a gate of one channel a head is no hidden
            matrix, because its few rows would be forced apart.
    """
    if name == "embedding.weight" or name.endswith(".value_embedding.weight"):
        return "embedding"
    if name == "head.weight":
        return "head"
    if ".router." in name:
        return "router"
    if name.startswith(_SCALARS) or name.endswith(".value_embedding_weight"):
        return "scalar"
    in_block = name.startswith(("blocks.", "extra_blocks."))
    is_head_gate = output_gate == "head" and name.endswith(".attention.gate.weight")
    return "hidden" if in_block and ndim > 1 and not is_head_gate else "plain"


def _adamw_groups(
    parameters: list[tuple[nn.Parameter, Kind]], config: AdamWConfig
) -> list[dict[str, Any]]:
    """One group for each pair of rate and decay that occurs."""
    ratios = {
        "embedding": config.embedding_rate_ratio,
        "head": config.head_rate_ratio,
        "router": config.router_rate_ratio,
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for parameter, kind in parameters:
        decay = 0.0 if kind == "scalar" else config.weight_decay
        groups[ratios.get(kind, 1.0), decay].append(parameter)
    return [
        {"params": members, "rate_ratio": ratio, "weight_decay": decay}
        for (ratio, decay), members in groups.items()
    ]
