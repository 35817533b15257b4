"""Which steps a budget of tokens or steps pays for, and what each of them reads."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from core.schema.training_config import TrainingConfig


class StepShape(NamedTuple):
    """What one optimizer step reads."""

    batch_size: int
    """Sequences."""
    sequence_length: int
    """Tokens in a sequence."""

    @property
    def tokens(self) -> int:
        """Tokens of the step."""
        return self.batch_size * self.sequence_length


class Segment(NamedTuple):
    """Consecutive steps of one shape."""

    first_step: int
    num_steps: int
    first_token: int
    """Tokens read by all steps before."""
    shape: StepShape

    @property
    def num_tokens(self) -> int:
        """Tokens read by the segment's steps."""
        return self.num_steps * self.shape.tokens


class TrainingPlan(NamedTuple):
    """All steps of a budget, in order."""

    segments: tuple[Segment, ...]

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        return self.segments[-1].first_step + self.segments[-1].num_steps

    @property
    def num_tokens(self) -> int:
        """Training tokens."""
        return self.segments[-1].first_token + self.segments[-1].num_tokens


def shape_at(training: TrainingConfig, fraction: Fraction | float) -> StepShape:
    """Shape of the step that begins when `fraction` of the budget is spent."""
    batch_size, sequence_length = training.batch_size, training.sequence_length
    for batch_stage in training.batch_size_stages:
        if fraction >= Fraction(str(batch_stage.from_fraction)):
            batch_size = batch_stage.batch_size
    for length_stage in training.sequence_length_stages:
        if fraction >= Fraction(str(length_stage.from_fraction)):
            sequence_length = length_stage.sequence_length
    return StepShape(batch_size, sequence_length)


def shapes(training: TrainingConfig) -> tuple[StepShape, ...]:
    """Every shape that a step may have, in order."""
    return tuple(dict.fromkeys(shape_at(training, start) for start, _ in stages(training)))


def plan(training: TrainingConfig) -> TrainingPlan:
    """The steps of a budget in tokens or steps; one in dollars is known only as it is spent.

    A step belongs to the stage in which it begins. No step is begun that the tokens left would
    not pay for.
    """
    assert not training.dollars, "a budget in dollars has no plan"
    segments: list[Segment] = []
    step = token = 0
    for start, end in stages(training):
        shape = shape_at(training, start)
        if training.steps:
            num_steps = math.ceil(end * training.steps) - step
        else:
            to_end = math.ceil((end * training.tokens - token) / shape.tokens)
            num_steps = min(to_end, (training.tokens - token) // shape.tokens)
        if num_steps > 0:
            segments.append(Segment(step, num_steps, token, shape))
            step, token = step + num_steps, token + num_steps * shape.tokens
    return TrainingPlan(tuple(segments))


def stages(training: TrainingConfig) -> Iterator[tuple[Fraction, Fraction]]:
    """Shares of the budget, exact, between which nothing changes."""
    starts = {
        *(Fraction(str(stage.from_fraction)) for stage in training.batch_size_stages),
        *(Fraction(str(stage.from_fraction)) for stage in training.sequence_length_stages),
    }
    return pairwise(sorted({Fraction(0), *starts, Fraction(1)}))
