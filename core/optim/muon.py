"""Muon: momentum, orthogonalised by Newton–Schulz (kellerjordan.github.io/posts/muon).

Shape suffixes: S matrices in a stack, M rows (outputs), N columns (inputs).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.kernels.momentum import fused_accelerate
from core.kernels.selection import has_kernels
from core.optim.orthogonalize import Coefficients, orthogonalize
from core.schema.optimizer_config import MuonConfig

MEAN_SQUARE_EPSILON = 1e-10


class Rates(NamedTuple):
    """What changes from step to step: float32 scalars on the device, so that a compiled update
    stays valid and nothing waits."""

    learning_rate: Tensor
    momentum: Tensor
    gradient_scale: Tensor
    """Factor on every gradient, such as that of clipping."""


class UpdateRule(NamedTuple):
    """What stays the same in all steps, as plain values."""

    iteration_format: torch.dtype
    """Number format in which matrices are orthogonalised."""
    nesterov: bool
    newton_schulz_steps: int
    coefficients: Coefficients
    neuron_norm_beta: float
    """Not used unless there are mean squares."""
    weight_decay: float
    cautious_weight_decay: bool


class Stack(NamedTuple):
    """Parameters whose matrices have one shape; each is [M, N] or [S, M, N]."""

    weights: list[Tensor]
    gradients: list[Tensor]
    momenta: list[Tensor]
    mean_squares: list[Tensor]
    """Running mean square of each row of the update, [..., M, 1]; empty without neuron norm."""


StackUpdate = Callable[[Stack, Rates, UpdateRule], None]


def update_stack(stack: Stack, rates: Rates, rule: UpdateRule) -> None:
    """Do one step on a stack, in place; the arithmetic is float32 whatever the weights are."""
    accelerated_SMN = accelerate(stack, rates, rule)
    apply_directions(stack, directions(accelerated_SMN, rule), rates, rule)


def accelerate(stack: Stack, rates: Rates, rule: UpdateRule) -> Tensor:
    """Move the momenta and return what is to be orthogonalised, as one stack [S, M, N]."""
    if has_kernels(stack.momenta[0]):
        accelerated_SMN: Tensor = fused_accelerate(
            stack.gradients,
            stack.momenta,
            rates.momentum,
            rates.gradient_scale,
            rule.nesterov,
            rule.iteration_format,
        )
        return accelerated_SMN
    rows, columns = stack.weights[0].shape[-2:]
    updates: list[Tensor] = []
    for gradient, momentum in zip(stack.gradients, stack.momenta, strict=True):
        scaled = gradient.float() * rates.gradient_scale
        moved = scaled.lerp(momentum.float(), rates.momentum)
        momentum.copy_(moved)
        update = scaled.lerp(moved, rates.momentum) if rule.nesterov else moved
        updates.append(update.to(rule.iteration_format).reshape(-1, rows, columns))
    return torch.cat(updates)


def directions(accelerated_SMN: Tensor, rule: UpdateRule) -> Tensor:
    """Orthogonalise a stack of matrices; [S, M, N]."""
    return orthogonalize(accelerated_SMN, rule.newton_schulz_steps, rule.coefficients)


def apply_directions(stack: Stack, directions_SMN: Tensor, rates: Rates, rule: UpdateRule) -> None:
    """Move every weight of a stack against its direction, in place."""
    rows, columns = stack.weights[0].shape[-2:]
    sizes = [weight.numel() // (rows * columns) for weight in stack.weights]
    parts = directions_SMN.split(sizes)
    for index, (weight, part) in enumerate(zip(stack.weights, parts, strict=True)):
        direction = part.reshape(weight.shape).float()
        if stack.mean_squares:
            direction = neuron_normed(direction, stack.mean_squares[index], rule.neuron_norm_beta)
        move(weight, direction, rates, rule, rows)


def move(weight: Tensor, direction: Tensor, rates: Rates, rule: UpdateRule, num_rows: int) -> None:
    """Decay a weight and move it against its direction, in place.

    Args:
        weight: [..., M, N], or some rows of such matrices.
        direction: float32, of the weight's shape.
        num_rows: M, of the whole matrix.
    """
    decay = rates.learning_rate * rule.weight_decay
    decayed = weight.float()
    if rule.weight_decay and rule.cautious_weight_decay:
        agrees = direction * decayed >= 0
        decayed = torch.where(agrees, decayed * (1 - decay), decayed)
    elif rule.weight_decay:
        decayed = decayed * (1 - decay)
    scale = max(1.0, num_rows / weight.size(-1)) ** 0.5
    weight.copy_(decayed - rates.learning_rate * scale * direction)


def neuron_normed(direction: Tensor, mean_square: Tensor, beta: float) -> Tensor:
    """Divide each row by its running RMS and keep the norm of the matrix (arXiv:2510.05491).

    Args:
        direction: [..., M, N] float32.
        mean_square: [..., M, 1], moved in place.
    """
    square = direction * direction
    moved = square.mean(dim=-1, keepdim=True).lerp(mean_square.float(), beta)
    mean_square.copy_(moved)
    inverse = moved.clamp_min(MEAN_SQUARE_EPSILON).rsqrt()
    before = square.sum(dim=(-2, -1), keepdim=True)
    after = (square * inverse * inverse).sum(dim=(-2, -1), keepdim=True)
    return direction * (inverse * (before / after.clamp_min(MEAN_SQUARE_EPSILON)).sqrt())


class Muon(torch.optim.Optimizer):
    """Muon for matrices [M, N] and stacks of matrices [S, M, N].

    The update of a matrix is learning rate × sqrt(max(1, M / N)) × its orthogonalised momentum.
    Matrices of one shape are updated as one stack. Its state has the weights' number format.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        config: MuonConfig,
        update: StackUpdate = update_stack,
        iteration_format: torch.dtype = torch.float32,
    ) -> None:
        """Take parameters into care.

        Args:
            update: `update_stack`, or a compiled form of it.
            iteration_format: number format in which matrices are orthogonalised.
        """
        super().__init__(list(parameters), {})
        self._neuron_norm = config.neuron_norm
        self._rule = UpdateRule(
            iteration_format=iteration_format,
            nesterov=config.nesterov,
            newton_schulz_steps=config.newton_schulz_steps,
            coefficients=config.coefficients,
            neuron_norm_beta=config.neuron_norm_beta,
            weight_decay=config.weight_decay,
            cautious_weight_decay=config.cautious_weight_decay,
        )
        self._update = update
        device = self.param_groups[0]["params"][0].device
        self.rates = Rates(
            learning_rate=torch.tensor(config.learning_rate, device=device),
            momentum=torch.tensor(config.momentum, device=device),
            gradient_scale=torch.ones((), device=device),
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, by `rates`."""
        (group,) = self.param_groups
        by_shape: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape[tuple(parameter.shape[-2:])].append(parameter)
        for parameters in by_shape.values():
            self._update(self._stack(parameters), self.rates, self._rule)

    def _stack(self, parameters: Sequence[nn.Parameter]) -> Stack:
        states = [self._state(parameter) for parameter in parameters]
        return Stack(
            weights=[parameter.detach() for parameter in parameters],
            gradients=[p.grad for p in parameters if p.grad is not None],
            momenta=[state["momentum"] for state in states],
            mean_squares=[state["mean_square"] for state in states] if self._neuron_norm else [],
        )

    def _state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            if self._neuron_norm:
                state["mean_square"] = torch.zeros_like(parameter[..., :1])
        return state
