"""Muon: momentum, orthogonalised by Newton–Schulz (kellerjordan.github.io/posts/muon).

Shape suffixes: S matrices in a stack, M rows (outputs), N columns (inputs).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Quintic that pushes singular values towards 1 fastest, from the page named above."""


def orthogonalize(matrices_SMN: Tensor, steps: int) -> Tensor:
    """Replace the singular values of each matrix by about 1 (0.7 to 1.2 after five steps).

    Runs in bfloat16 on CUDA and in float32 elsewhere.
    """
    a, b, c = COEFFICIENTS
    x_SMN = matrices_SMN.bfloat16() if matrices_SMN.is_cuda else matrices_SMN.float()
    tall = x_SMN.size(-2) > x_SMN.size(-1)
    if tall:
        x_SMN = x_SMN.mT
    x_SMN = x_SMN / (x_SMN.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram_SMM = x_SMN @ x_SMN.mT
        polynomial_SMM = torch.baddbmm(gram_SMM, gram_SMM, gram_SMM, beta=b, alpha=c)
        x_SMN = torch.baddbmm(x_SMN, polynomial_SMM, x_SMN, beta=a)
    return x_SMN.mT if tall else x_SMN


class Muon(torch.optim.Optimizer):
    """Muon for matrices [M, N] and stacks of matrices [S, M, N].

    The update of a matrix is lr × sqrt(max(1, M / N)) × its orthogonalised momentum. Matrices
    of one shape are orthogonalised as one stack.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float,
        nesterov: bool,
        newton_schulz_steps: int,
        weight_decay: float,
        orthogonalize: Callable[[Tensor, int], Tensor] = orthogonalize,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "newton_schulz_steps": newton_schulz_steps,
            "weight_decay": weight_decay,
        }
        super().__init__(list(parameters), defaults)
        self._orthogonalize = orthogonalize

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(parameter.shape[-2:])].append(parameter)
            for parameters in by_shape.values():
                self._step_stack(parameters, group)

    def _step_stack(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        weights: list[Tensor] = [parameter.data for parameter in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self._momentum(parameter) for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = (
            torch._foreach_lerp(gradients, momenta, group["momentum"])
            if group["nesterov"]
            else momenta
        )
        rows, columns = parameters[0].shape[-2:]
        stack_SMN = torch.cat([update.reshape(-1, rows, columns) for update in updates])
        orthogonal_SMN = self._orthogonalize(stack_SMN, group["newton_schulz_steps"])
        sizes = [parameter.numel() // (rows * columns) for parameter in parameters]
        directions = [
            part.reshape(parameter.shape).type_as(parameter)
            for part, parameter in zip(orthogonal_SMN.split(sizes), parameters, strict=True)
        ]
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        scale = max(1.0, rows / columns) ** 0.5
        torch._foreach_add_(weights, directions, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum
