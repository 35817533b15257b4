"""Which steps a run takes, and where in its budget each of them lies.

A budget of tokens or steps is known beforehand. One of dollars is spent by the clock: the steps
ahead are foreseen from the time that steps took, and foreseen anew whenever the trainer has
waited for the device.
"""

import math
from itertools import pairwise, takewhile
from typing import NamedTuple, Protocol

from core.errors import BudgetExceeded
from core.schema.training_config import TrainingConfig
from core.train.clock import Clock
from core.training_plan import Segment, StepShape, plan, shape_at, shapes

MAX_RECORDED_STEPS = 1000
CHUNK_STEPS = 10


class PlannedStep(NamedTuple):
    """One optimizer step ahead."""

    shape: StepShape
    spent_before: float
    """Share of the budget that is spent when it begins, from 0."""
    spent_after: float
    """Share that is spent when it ends; 1 ends training."""
    is_recorded: bool
    """Whether it is worth a metric point."""


class Pace(Protocol):
    """The course of a run through its budget."""

    @property
    def shapes(self) -> tuple[StepShape, ...]:
        """Every shape that a step may have."""

    @property
    def needs_timing(self) -> bool:
        """Whether `timed` must be called for every shape before the first `ahead`."""

    def timed(self, shape: StepShape, seconds: float) -> None:
        """Learn how long a step of a shape took."""

    def ahead(self, step: int) -> list[PlannedStep]:
        """The next steps, all of one shape, that can be taken before asking again.

        Args:
            step: steps done; more are to come.
        """

    def expected_steps(self, step: int) -> int:
        """Steps of the whole run, as far as can be foreseen when `step` are done."""


class FixedPace:
    """A budget of tokens or steps."""

    needs_timing = False

    def __init__(self, training: TrainingConfig) -> None:
        self._plan = plan(training)
        self._by_steps = training.steps > 0
        self._recorded_every = math.ceil(self._plan.num_steps / MAX_RECORDED_STEPS)

    @property
    def shapes(self) -> tuple[StepShape, ...]:
        """Every shape that a step has."""
        return tuple(dict.fromkeys(segment.shape for segment in self._plan.segments))

    def timed(self, shape: StepShape, seconds: float) -> None:
        """Time changes nothing here."""

    def ahead(self, step: int) -> list[PlannedStep]:
        """Steps up to the next multiple of ten points, or of another shape."""
        segment = next(s for s in self._plan.segments if step < s.first_step + s.num_steps)
        chunk = CHUNK_STEPS * self._recorded_every
        end = min((step // chunk + 1) * chunk, segment.first_step + segment.num_steps)
        return [self._planned(segment, index) for index in range(step, end)]

    def expected_steps(self, step: int) -> int:
        """Steps of the plan."""
        return self._plan.num_steps

    def _planned(self, segment: Segment, step: int) -> PlannedStep:
        is_last = step + 1 == self._plan.num_steps
        return PlannedStep(
            segment.shape,
            self._spent(segment, step),
            self._spent(segment, step + 1),
            is_recorded=is_last or (step + 1) % self._recorded_every == 0,
        )

    def _spent(self, segment: Segment, step: int) -> float:
        if self._by_steps:
            return step / self._plan.num_steps
        tokens = segment.first_token + (step - segment.first_step) * segment.shape.tokens
        return tokens / self._plan.num_tokens


class DollarPace:
    """A budget of dollars for compiling and training.

    Compiling is paid first; shares are of what it leaves, so that a schedule begins at its
    beginning. The budget is overdrawn by less than a step.
    """

    needs_timing = True

    def __init__(
        self, training: TrainingConfig, dollars: float, price_usd_per_hour: float, clock: Clock
    ) -> None:
        """Take a budget into care.

        Args:
            dollars: what may be spent, at most `training.dollars`.
            price_usd_per_hour: of the device, or of all devices together.
        """
        self._training = training
        self._dollars = dollars
        self._price = price_usd_per_hour
        self._clock = clock
        self._step_seconds: dict[StepShape, float] = {}

    @property
    def shapes(self) -> tuple[StepShape, ...]:
        """Every shape that a step may have."""
        return shapes(self._training)

    def timed(self, shape: StepShape, seconds: float) -> None:
        """Learn how long a step of a shape took; half of what is expected is the newest."""
        before = self._step_seconds.get(shape, seconds)
        self._step_seconds[shape] = (before + seconds) / 2

    def ahead(self, step: int) -> list[PlannedStep]:
        """At most half of the steps that are left, so that the last ones are aimed well.

        Raises:
            BudgetExceeded: compiling has cost all of it.
        """
        spent, left, shape = self._state()
        share = (1.0 - spent) / left
        steps_a_point = math.ceil(1.0 / (MAX_RECORDED_STEPS * share))
        count = max(1, min(left // 2, CHUNK_STEPS * steps_a_point))
        # Counted from the end, so that the last step ends at exactly 1.
        bounds = [1.0 - (left - index) * share for index in range(count + 1)]
        steps = [
            PlannedStep(shape, before, after, _passes_a_point(before, after))
            for before, after in pairwise(bounds)
        ]
        later = takewhile(lambda s: shape_at(self._training, s.spent_before) == shape, steps[1:])
        return [steps[0], *later]

    def expected_steps(self, step: int) -> int:
        """Steps done and those that the rest would pay for."""
        return step + self._state()[1]

    def _state(self) -> tuple[float, int, StepShape]:
        """(share that is spent, steps that the rest pays for, their shape)."""
        compile_seconds = self._clock.seconds["compile"]
        seconds = self._dollars / self._price * 3600 - compile_seconds
        if seconds <= 0:
            raise BudgetExceeded(
                f"compiling for {compile_seconds:,.0f} s at ${self._price:g} an hour costs all of "
                f"${self._dollars:g}; nothing is left for training"
            )
        spent = self._clock.seconds["train"] / seconds
        shape = shape_at(self._training, spent)
        step_share = self._step_seconds[shape] / seconds
        # Where less than a step is left, one is taken all the same: the schedule ends with it.
        left = max(1, math.floor((1.0 - spent) / step_share))
        return max(0.0, min(spent, 1.0 - step_share)) if left == 1 else spent, left, shape


def _passes_a_point(before: float, after: float) -> bool:
    """Whether a step passes one of `MAX_RECORDED_STEPS` evenly spaced shares, or reaches it."""
    return math.floor(after * MAX_RECORDED_STEPS) > math.floor(before * MAX_RECORDED_STEPS)
