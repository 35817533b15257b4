"""Muon's update where every process holds a share of each parameter's rows (FSDP2).

A stack of matrices is shared out by whole matrices, and each is updated where it is. Of a single
matrix every process has some rows: they are exchanged, so that each process gets some matrices
whole, orthogonalises those, and sends the rows back to where they belong.

Shape suffixes: S matrices, M rows, N columns, P processes, R rows of a matrix in one process,
O matrices that one process orthogonalises.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.tensor import DTensor

from core.optim.muon import (
    Rates,
    Stack,
    UpdateRule,
    accelerate,
    directions,
    move,
    neuron_normed,
    update_stack,
)
from core.tensor_shares import local_share

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


class ShareUpdate:
    """A `StackUpdate` of shared-out parameters; every process must take part."""

    def __init__(self, compile: Compile) -> None:
        """Prepare what lies between the exchanges.

        Args:
            compile: compiles a function, or returns it as it is.
        """
        self._update_stack = compile(update_stack)
        self._accelerate = compile(accelerate)
        self._whole_directions = compile(_whole_directions)
        self._move_rows = compile(_move_rows)

    def __call__(self, stack: Stack, rates: Rates, rule: UpdateRule) -> None:
        """Do one step on this process's shares, in place."""
        stacks = _local(stack, [weight.ndim == 3 for weight in stack.weights])
        # Where there are fewer matrices than processes, some have none.
        filled = _local(stacks, [weight.size(0) > 0 for weight in stacks.weights])
        if filled.weights:
            self._update_stack(filled, rates, rule)
        matrices = [weight for weight in stack.weights if weight.ndim == 2]
        if matrices:
            single = _local(stack, [weight.ndim == 2 for weight in stack.weights])
            self._update_matrices(single, _Exchange.of(matrices), rates, rule)

    def _update_matrices(
        self, stack: Stack, exchange: "_Exchange", rates: Rates, rule: UpdateRule
    ) -> None:
        if exchange.held_rows:
            accelerated_SRN = self._accelerate(stack, rates, rule)
        else:
            weight = stack.weights[0]
            shape = (len(stack.weights), 0, weight.size(1))
            accelerated_SRN = weight.new_zeros(shape, dtype=rule.iteration_format)
        whole_OMN = exchange.to_matrices(accelerated_SRN)
        mean_square_OM1 = None
        if stack.mean_squares:
            mean_square_OM1 = exchange.to_matrices(torch.stack(stack.mean_squares))
        whole_OMN = self._whole_directions(whole_OMN, mean_square_OM1, rule)
        directions_SRN = exchange.to_rows(whole_OMN)
        if mean_square_OM1 is not None:
            moved_SR1 = exchange.to_rows(mean_square_OM1)
            torch._foreach_copy_(stack.mean_squares, list(moved_SR1.unbind()))
        if exchange.held_rows:
            self._move_rows(stack, directions_SRN, rates, rule, exchange.num_rows)


class _Exchange(NamedTuple):
    """How the rows of some matrices of one shape lie in the processes.

    As DTensor does it, each holds as many as the first, until there are none left.
    """

    group: dist.ProcessGroup
    num_processes: int
    num_matrices: int
    num_rows: int
    """Of a whole matrix."""
    held_rows: int
    """Of each matrix in this process."""

    @classmethod
    def of(cls, weights: list[Tensor]) -> "_Exchange":
        first = weights[0]
        assert isinstance(first, DTensor)
        mesh = first.device_mesh
        held_rows = first.to_local().size(0)
        return cls(mesh.get_group(), mesh.size(), len(weights), first.size(0), held_rows)

    @property
    def share_rows(self) -> int:
        """Rows of a matrix in the first process."""
        return -(-self.num_rows // self.num_processes)

    def to_matrices(self, rows_SRN: Tensor) -> Tensor:
        """Rows of all matrices [S, R, N] to whole matrices [O, M, N]; the last may be zeros."""
        missing_rows = self.share_rows - self.held_rows
        missing_matrices = -self.num_matrices % self.num_processes
        sent_SRN = F.pad(rows_SRN, (0, 0, 0, missing_rows, 0, missing_matrices))
        received_SRN = self._swap(sent_SRN)
        received_OPRN = received_SRN.unflatten(0, (self.num_processes, -1)).transpose(0, 1)
        whole_OMN: Tensor = received_OPRN.flatten(1, 2)
        return whole_OMN[:, : self.num_rows]

    def to_rows(self, whole_OMN: Tensor) -> Tensor:
        """The way back: whole matrices [O, M, N] to rows of all matrices [S, R, N]."""
        missing_rows = self.share_rows * self.num_processes - self.num_rows
        padded_OMN = F.pad(whole_OMN, (0, 0, 0, missing_rows))
        sent_PORN = padded_OMN.unflatten(1, (self.num_processes, -1)).transpose(0, 1)
        received_SRN = self._swap(sent_PORN.flatten(0, 1))
        return received_SRN[: self.num_matrices, : self.held_rows]

    def _swap(self, sent: Tensor) -> Tensor:
        """Give each process its part of the first dimension, and take ours from each."""
        sent = sent.contiguous()
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)
        return received


def _whole_directions(
    accelerated_OMN: Tensor, mean_square_OM1: Tensor | None, rule: UpdateRule
) -> Tensor:
    """Directions of whole matrices; moves their mean squares in place."""
    directions_OMN = directions(accelerated_OMN, rule)
    if mean_square_OM1 is None:
        return directions_OMN
    return neuron_normed(directions_OMN.float(), mean_square_OM1, rule.neuron_norm_beta)


def _move_rows(
    stack: Stack, directions_SRN: Tensor, rates: Rates, rule: UpdateRule, num_rows: int
) -> None:
    for weight_RN, direction_RN in zip(stack.weights, directions_SRN.unbind(), strict=True):
        move(weight_RN, direction_RN.float(), rates, rule, num_rows)


def _local(stack: Stack, chosen: list[bool]) -> Stack:
    """This process's shares of the chosen parameters."""

    def shares(tensors: list[Tensor]) -> list[Tensor]:
        # Mean squares are absent without neuron norm.
        return [local_share(tensor) for tensor, take in zip(tensors, chosen, strict=False) if take]

    return Stack(*(shares(tensors) for tensors in stack))
