"""What a config costs before it runs: parameters, FLOPs, memory, time and dollars.

Parameters and FLOPs are exact by formula. Memory and time are estimates for one device:
`docs/measurement.md` says against which measured runs they were set.
"""

from typing import NamedTuple

from pydantic import Field

from core.estimate.calibration import COMPILE_SECONDS
from core.estimate.flops import training_flops_per_token
from core.estimate.memory import MEMORY_SPREAD, peak_memory
from core.estimate.parameters import num_active_parameters, num_parameters
from core.estimate.speed import Speed, StepWork, is_known, speed, step_work
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.training_config import TrainingConfig
from core.training_plan import StepShape, plan, shape_at, shapes, stages

Range = tuple[float, float]
"""Lower and upper end."""


class Estimate(Message):
    """What a config would cost.

    GPUs are those of the track's price list whose rate is known.
    """

    num_parameters: int = Field(ge=1)
    """Trained parameters."""
    num_active_parameters: int = Field(ge=1)
    """Parameters that one token passes through."""
    training_flops_per_token: float = Field(gt=0.0)
    """Forward and backward FLOPs of one training token, before any stage changes its length."""
    training_flops: float = Field(ge=0.0)
    """FLOPs of the whole run's training; for a budget in dollars, on the GPU that does most."""
    memory_bytes: float = Field(gt=0.0)
    """Peak device memory."""
    memory_bytes_range: Range
    """The range in which it should lie."""
    memory_parts: dict[str, float]
    """What it consists of."""
    train_seconds: dict[str, float]
    """GPU model to training time."""
    train_seconds_range: dict[str, Range]
    """GPU model to the range in which the training time should lie."""
    train_tokens: dict[str, float]
    """GPU model to training tokens."""
    train_tokens_range: dict[str, Range]
    """GPU model to the range in which they should lie; they are certain unless dollars are the
    budget."""
    measured_gpus: tuple[str, ...]
    """GPUs whose speed was measured; that of others is scaled by their vendors' rates."""
    cost_usd: dict[str, float]
    """GPU model to dollars at the track's price, compilation included."""
    cost_usd_range: dict[str, Range]
    """GPU model to the range in which the dollars should lie, as the training time does."""


Works = dict[StepShape, StepWork]
"""The work of a step of each shape."""
Steps = tuple[tuple[StepShape, float], ...]
"""How many steps of each shape, in order; a whole number but for a budget in dollars."""


class _Course(NamedTuple):
    """Training on one GPU."""

    steps: Steps
    seconds: float
    seconds_range: Range
    tokens_range: Range

    @property
    def tokens(self) -> float:
        return sum(count * shape.tokens for shape, count in self.steps)


def estimate(experiment: ExperimentConfig, prices_usd_per_hour: dict[str, float]) -> Estimate:
    """Estimate a config, with time and dollars for each GPU that has a price and a known rate."""
    model, training = experiment.model, experiment.training
    prices = {
        gpu: price for gpu, price in prices_usd_per_hour.items() if is_known(gpu) and price > 0
    }
    speeds = {gpu: speed(gpu, training.precision) for gpu in prices}
    works = _works(experiment)
    courses = {gpu: _course(training, works, speeds[gpu], prices[gpu]) for gpu in prices}
    memory = peak_memory(experiment)
    return Estimate(
        num_parameters=num_parameters(model),
        num_active_parameters=num_active_parameters(model),
        training_flops_per_token=training_flops_per_token(model, training.sequence_length),
        training_flops=_training_flops(training, works, courses),
        memory_bytes=memory.total,
        memory_bytes_range=(memory.total / MEMORY_SPREAD, memory.total * MEMORY_SPREAD),
        memory_parts={name: size for name, size in memory._asdict().items() if size},
        train_seconds={gpu: course.seconds for gpu, course in courses.items()},
        train_seconds_range={gpu: course.seconds_range for gpu, course in courses.items()},
        train_tokens={gpu: course.tokens for gpu, course in courses.items()},
        train_tokens_range={gpu: course.tokens_range for gpu, course in courses.items()},
        measured_gpus=tuple(gpu for gpu, found in speeds.items() if found.is_measured),
        cost_usd={
            gpu: _dollars(training, course.seconds, prices[gpu]) for gpu, course in courses.items()
        },
        cost_usd_range={
            gpu: (
                _dollars(training, course.seconds_range[0], prices[gpu]),
                _dollars(training, course.seconds_range[1], prices[gpu]),
            )
            for gpu, course in courses.items()
        },
    )


def _dollars(training: TrainingConfig, seconds: float, price_usd_per_hour: float) -> float:
    """What a run costs that trains for so long; a budget in dollars is spent as it is."""
    return training.dollars or (COMPILE_SECONDS + seconds) / 3600 * price_usd_per_hour


def planned_flops(experiment: ExperimentConfig) -> float:
    """Training FLOPs of a budget in tokens or steps."""
    return _flops(_works(experiment), _planned_steps(experiment.training))


def _works(experiment: ExperimentConfig) -> Works:
    return {shape: step_work(experiment, shape) for shape in shapes(experiment.training)}


def _flops(works: Works, steps: Steps) -> float:
    return sum(count * works[shape].training_flops for shape, count in steps)


def _training_flops(training: TrainingConfig, works: Works, courses: dict[str, _Course]) -> float:
    if not training.dollars:
        return _flops(works, _planned_steps(training))
    return max((_flops(works, course.steps) for course in courses.values()), default=0.0)


def _course(
    training: TrainingConfig, works: Works, gpu: Speed, price_usd_per_hour: float
) -> _Course:
    if not training.dollars:
        steps = _planned_steps(training)
        seconds = sum(count * gpu.step_seconds(works[shape]) for shape, count in steps)
        tokens = float(sum(count * shape.tokens for shape, count in steps))
        times = (seconds / gpu.spread, seconds * gpu.spread)
        return _Course(steps, seconds, times, (tokens, tokens))
    seconds = max(0.0, training.dollars / price_usd_per_hour * 3600 - COMPILE_SECONDS)
    steps = _bought_steps(training, works, gpu, seconds)
    tokens = sum(count * shape.tokens for shape, count in steps)
    return _Course(steps, seconds, (seconds, seconds), (tokens / gpu.spread, tokens * gpu.spread))


def _planned_steps(training: TrainingConfig) -> Steps:
    return tuple((segment.shape, segment.num_steps) for segment in plan(training).segments)


def _bought_steps(training: TrainingConfig, works: Works, gpu: Speed, seconds: float) -> Steps:
    """Steps that fit into a time, of which each stage gets its share."""
    stretches = [
        (shape_at(training, start), float(end - start) * seconds) for start, end in stages(training)
    ]
    return tuple((shape, share / gpu.step_seconds(works[shape])) for shape, share in stretches)
