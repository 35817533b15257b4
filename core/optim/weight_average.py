"""A moving average of the weights, to evaluate instead of the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.tensor_shares import copy_into, local_share


class WeightAverage:
    """An exponential average of all parameters, float32 whatever they are.

    Its decay at step n, counted from 1, is min(decay, n / (n + 9)), so that the random start
    is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = dict(model.named_parameters())
        self._average = {
            name: parameter.detach().float().clone() for name, parameter in self._parameters.items()
        }

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The average, by the parameters' names."""
        return self._average

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self._decay, step / (step + 9))
        average = [local_share(tensor) for tensor in self._average.values()]
        current = [local_share(p.detach()).float() for p in self._parameters.values()]
        torch._foreach_lerp_(average, current, 1 - decay)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from an average; every parameter must be in it."""
        for name, average in self._average.items():
            copy_into(average, weights[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the average as its weights."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(weights[name])
